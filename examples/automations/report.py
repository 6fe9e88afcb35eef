"""Relatório mensal de vendas a partir de um CSV."""

import csv
import os
import tempfile
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Dict, Iterator

SALES = Path(__file__).resolve().parent / "sample-data" / "sales.csv"


def build(month: str = "2026-10", source: str = str(SALES), pause: float = 0.25) -> dict:
    """Soma as vendas de um mês por cidade e grava o relatório em CSV.

    month   mês no formato AAAA-MM
    source  CSV com as colunas date;city;product;quantity;unit_price
    pause   segundos de espera por cidade, para acompanhar a saída ao vivo
    """
    print(f"Lendo {Path(source).name} …")
    totals: Dict[str, Decimal] = defaultdict(Decimal)
    sales = 0
    for row in _sales(Path(source), month):
        totals[row["city"]] += int(row["quantity"]) * Decimal(row["unit_price"].replace(",", "."))
        sales += 1
    if not sales:
        raise ValueError(f"nenhuma venda em {month}: há {', '.join(_months(Path(source)))}")
    print(f"{sales} vendas em {month}, {len(totals)} cidades")
    target = _output_folder() / f"sales-{month}.csv"
    with open(target, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["city", "total"])
        for number, city in enumerate(sorted(totals), 1):
            writer.writerow([city, _comma(totals[city])])
            print(f"  [{number}/{len(totals)}] {city:<12} R$ {_comma(totals[city]):>10}")
            time.sleep(pause)
    total = sum(totals.values(), Decimal())
    print(f"Total: R$ {_comma(total)}")
    print(f"Relatório gravado: {target.name}")
    return {
        "month": month,
        "sales": sales,
        "total": float(total),
        "cities": {city: float(value) for city, value in sorted(totals.items())},
        "file": target.name,
    }


def opcoes_month() -> list:
    """Oferece os meses que têm vendas."""
    return _months(SALES)


def _sales(source: Path, month: str) -> Iterator[Dict[str, str]]:
    with open(source, encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file, delimiter=";"):
            if row["date"].startswith(month + "-"):
                yield row


def _months(source: Path) -> list:
    with open(source, encoding="utf-8-sig", newline="") as file:
        return sorted({row["date"][:7] for row in csv.DictReader(file, delimiter=";")})


def _comma(value: Decimal) -> str:
    return f"{value:.2f}".replace(".", ",")


def _output_folder() -> Path:
    return Path(os.environ.get("DISTRO_ARTIFACTS") or tempfile.mkdtemp(prefix="report-"))
