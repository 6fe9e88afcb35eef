"""Folha de pagamento."""

import os
import time

FIM = os.path.join(os.path.dirname(__file__), "fim")  # ends what would go on all day


def fechar(competencia: str, empresas: list[str] = ["matriz"]):
    """Fecha a folha do mês e gera os holerites."""
    for empresa in empresas:
        print("calculando a folha de", empresa)
        time.sleep(0.02)
    return {"competencia": competencia, "holerites": 128 * len(empresas)}


def enviar_holerites(competencia: str):
    """Envia os holerites por e-mail, um a um."""
    print("conectando ao servidor de e-mail")
    n = 0
    while not os.path.exists(FIM):
        n += 1
        print("%s  holerite %03d de 128 enviado" % (competencia, n % 128 + 1))
        time.sleep(0.4)
