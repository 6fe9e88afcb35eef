"""O exemplo do manual: a menor automação possível."""


def send_hello_world() -> str:
    """Diz olá."""
    print("Olá, mundo! Hello, world!")
    return "Hello World!"
