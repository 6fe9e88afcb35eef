"""Carga de um CSV em um banco SQLite."""

import csv
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

SALES = Path(__file__).resolve().parent / "sample-data" / "sales.csv"

SCHEMA = """
CREATE TABLE IF NOT EXISTS sales (
    line INTEGER PRIMARY KEY, date TEXT NOT NULL, city TEXT NOT NULL, product TEXT NOT NULL,
    quantity INTEGER NOT NULL, cents INTEGER NOT NULL
)
"""

TOP = """
SELECT product, SUM(quantity) AS quantity, SUM(quantity * cents) AS cents
FROM sales GROUP BY product ORDER BY cents DESC, product LIMIT ?
"""


def load(database: str = "", source: str = str(SALES), batch: int = 50) -> dict:
    """Grava as vendas do CSV no banco. Repetir a carga não duplica nada.

    database  arquivo do banco; vazio: um novo, junto aos arquivos do job
    batch     linhas por transação
    """
    if batch < 1:
        raise ValueError("batch tem que ser 1 ou mais")
    path = Path(database) if database else _output_folder() / "sales.db"
    print(f"Banco: {path}")
    with closing(sqlite3.connect(path)) as db:
        db.execute(SCHEMA)
        rows = _rows(source)
        for start in range(0, len(rows), batch):
            with db:  # uma transação
                db.executemany("INSERT OR REPLACE INTO sales VALUES (?, ?, ?, ?, ?, ?)", rows[start : start + batch])
            print(f"  {min(start + batch, len(rows))}/{len(rows)} linhas")
        count = db.execute("SELECT COUNT(*) FROM sales").fetchone()[0]
        top = db.execute(TOP, (3,)).fetchall()
    print("Produtos que mais venderam:")
    for product, quantity, cents in top:
        print(f"  {product:<20} {quantity:>5} un.  R$ {cents // 100},{cents % 100:02}")
    return {"database": str(path), "rows": count, "top": [product for product, _, _ in top]}


def _rows(source: str) -> list:
    with open(source, encoding="utf-8-sig", newline="") as file:
        return [
            (line, row["date"], row["city"], row["product"], int(row["quantity"]), int(row["unit_price"].replace(",", "")))
            for line, row in enumerate(csv.DictReader(file, delimiter=";"), 1)
        ]


def _output_folder() -> Path:
    return Path(os.environ.get("DISTRO_ARTIFACTS") or tempfile.mkdtemp(prefix="database-"))
