"""Relatórios que a diretoria recebe de manhã."""

import random
import time


def vendas(dia: str, regiao: str = "Sudeste"):
    """Vendas do dia por região."""
    time.sleep(random.uniform(0.01, 0.15))
    return {"dia": dia, "regiao": regiao, "total": random.randint(100, 900) * 1000}


def inadimplencia(dias: int = 30):
    """Clientes com títulos vencidos."""
    time.sleep(random.uniform(0.01, 0.1))
    return [{"cliente": "Padaria São José", "vencido": "R$ 1.240,00"}, {"cliente": "Mercado Bom Preço", "vencido": "R$ 380,90"}]
