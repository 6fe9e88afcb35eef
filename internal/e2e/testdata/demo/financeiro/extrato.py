"""Extratos bancários e conciliação."""

import random
import time
from typing import Literal


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
