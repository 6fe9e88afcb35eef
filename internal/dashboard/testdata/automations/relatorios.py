"""Relatórios *do mês*, para o `financeiro`."""
from datetime import date
from pathlib import Path


def fechamento(mes: date, destino: Path = Path("/tmp/fechamento.xlsx"), contas: list[str] = [], modo: str = "completo") -> dict[str, int]:
    """Monta o **fechamento** do mês e o envia ao `financeiro`.

    Lê os lançamentos do ERP, confere com o banco e grava uma planilha. O que não
    fecha vai para a aba *Pendências*; veja `o manual <https://exemplo.com.br/manual_erp>`_
    ou :func:`relatorios.conferir`.

    Passos
    ------
    1. baixa os extratos, um por conta
    2. confere:

       - lançamentos sem documento
       - valores que diferem em mais de **R$ 0,05**
    3. grava e envia

    > Rode só depois do dia 3: antes disso o banco ainda muda os extratos.

    Args:
        mes: Qualquer dia do mês que se fecha.
        destino: Onde gravar a planilha. Modelos:

            - `*.xlsx`, o que o **financeiro** usa
            - `*.csv`, com `;` entre as colunas
        contas: Contas do banco, como ``341-12345-6``. *Nenhuma*: todas.
        modo: O que fazer com o que difere:

            ```
            completo   confere tudo
            rapido     confere os totais
            ```

            Mais em [modos](https://exemplo.com.br/modos).

    Returns:
        dict[str, int]: quantos lançamentos há de cada situação.

    Raises:
        ValueError: se o mês ainda não acabou.
        erp.Indisponivel (raro): se o ERP não responde em *30 s*.

    Examples:
        >>> fechamento(date(2026, 1, 31))
        {'ok': 1203, 'pendente': 4}

    .. note:: O arquivo anterior fica em ``destino + ".bak"``.

    <script>alert("texto")</script> ![logo](https://exemplo.com.br/logo.png)
    """
    return {}


def conferir(mes: date, tolerancia: float = 0.05):
    """Confere os totais de *um* mês com ``__init__`` do banco.

    :param mes: Qualquer dia do mês.
    :param tolerancia: Diferença que ainda **vale**,
        em reais.
    :returns: as diferenças,
        por conta
    :rtype: dict[str, Decimal]
    :raises ValueError: se o mês ainda não acabou

    Um uso típico::

      for conta, valor in conferir(mes).items():
          print(conta, valor)
    """
