"""Extratos bancários e conciliação."""

import random
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal


@dataclass
class Conta:
    """Uma conta da empresa."""

    agencia: str
    numero: str
    investimento: bool = False


def baixar(banco: Literal["bb", "caixa", "itau", "bradesco"], conta: str, dias: int = 7):
    """Baixa o extrato de uma conta em OFX."""
    print("entrando em", banco)
    time.sleep(random.uniform(0.02, 0.2))
    lancamentos = random.randint(20, 400)
    print(lancamentos, "lançamentos")
    return {"banco": banco, "conta": conta, "lancamentos": lancamentos}


def conciliar(conta, mes):
    """Compara o extrato com o que está lançado no ERP."""
    print("lendo o extrato de", conta)
    diferenca = comparar(conta, mes)
    return diferenca


def comparar(conta, mes):
    esperado, lido = 18_430.55, 18_340.55
    if esperado != lido:
        raise ValueError("saldo não confere em %s: ERP %.2f, banco %.2f" % (mes, esperado, lido))


def importar(arquivo: Path, senha: str, contas: list[Conta], tolerancia: timedelta = timedelta(minutes=5)):
    """Importa um extrato que o banco mandou por e-mail.

    Lê **OFX** ou **CSV**; o que já foi lançado fica como está:

    - lançamentos repetidos são contados, não gravados;
    - o que não confere vai para `financeiro.extrato.conciliar`.

    Veja o [manual do ERP](https://erp.example/importar).

    Args:
        arquivo: o extrato, como veio do banco.
        senha: a que abre o arquivo.
        contas: as que ele pode ter.
        tolerancia: quanto os relógios podem diferir.
    """
    print("lendo", arquivo.name)
    return {"bytes": arquivo.stat().st_size, "contas": [c.numero for c in contas]}
