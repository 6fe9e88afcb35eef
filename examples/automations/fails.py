"""Automações que falham de propósito, para ver erros e novas tentativas."""

import os


class SupplierError(Exception):
    """O fornecedor recusou o pedido."""


def always_fails(reason: str = "o fornecedor não respondeu") -> None:
    """Falha sempre, algumas chamadas abaixo desta."""
    print("Enviando o pedido 4711 …")
    _send_order(4711, reason)


def fails_at_first(attempts: int = 2) -> str:
    """Falha até a tentativa de número `attempts`; use com --retries."""
    attempt = int(os.environ.get("DISTRO_ATTEMPT", "1"))
    print(f"Tentativa {attempt} de {attempts}")
    if attempt < attempts:
        raise SupplierError(f"tentativa {attempt} recusada")
    return f"aceito na tentativa {attempt}"


def _send_order(number: int, reason: str) -> None:
    try:
        _call_supplier({"order": number}, reason)
    except ConnectionError as error:
        raise SupplierError(f"pedido {number} recusado: {reason}") from error


def _call_supplier(order: dict, reason: str) -> None:
    raise ConnectionError(f"sem resposta para {order}: {reason}")
