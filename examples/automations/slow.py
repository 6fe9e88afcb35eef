"""Uma automação demorada, para acompanhar, parar e esgotar o tempo."""

import time


def count(to: int = 10, pause: float = 1.0) -> int:
    """Conta até `to`, com `pause` segundos entre os números."""
    for number in range(1, to + 1):
        print(f"{number}/{to}")
        time.sleep(pause)
    print("Pronto.")
    return to
