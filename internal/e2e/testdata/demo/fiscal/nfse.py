"""Notas fiscais de serviço: emissão, consulta e download."""

import random
import time
from datetime import date
from decimal import Decimal
from typing import Literal, Optional


class PrefeituraIndisponivel(Exception):
    pass


def emitir(
    tomador: str,
    valor: Decimal,
    competencia: date,
    servico: Literal["consultoria", "desenvolvimento", "suporte", "treinamento"] = "consultoria",
    reter_iss: bool = False,
    parcelas: int = 1,
    emails: list[str] = [],
    observacoes: Optional[str] = None,
):
    """Emite uma nota fiscal de serviço.

    Args:
        tomador: CNPJ ou razão social de quem contrata.
        valor: valor bruto, em reais.
        competencia: mês a que a nota se refere.
        reter_iss: o tomador recolhe o ISS.
        parcelas: em quantas vezes será paga.
        emails: quem recebe o PDF.
    """
    print("abrindo o portal da prefeitura")
    time.sleep(random.uniform(0.02, 0.3))
    print("nota emitida para", tomador)
    return {"numero": random.randint(10_000, 99_999), "tomador": tomador, "valor": str(valor)}


def opcoes_tomador():
    """Clientes com contrato ativo."""
    return [
        ("12.345.678/0001-90", "Padaria São José"),
        ("98.765.432/0001-10", "Metalúrgica Aurora"),
        ("45.111.222/0001-33", "Clínica Vida Nova"),
    ]


def opcoes_emails():
    """Quem costuma receber o PDF."""
    return ["fiscal@padaria.example", "contas@aurora.example"]


def baixar_xml(mes, tentativas=3):
    """Baixa os XML das notas recebidas no mês."""
    for n in range(1, tentativas + 1):
        print("\x1b[36mtentativa %d de %d\x1b[0m" % (n, tentativas))
        time.sleep(0.03)
    print("\x1b[33maviso: o portal respondeu devagar\x1b[0m")
    resposta = autenticar(mes)
    return resposta["notas"]


def autenticar(mes):
    raise PrefeituraIndisponivel("o portal da prefeitura respondeu 503 ao certificado A1 (%s)" % mes)


def consultar(protocolo: str):
    """Situação de um lote."""
    time.sleep(random.uniform(0.01, 0.1))
    return {"protocolo": protocolo, "situacao": "processado"}
