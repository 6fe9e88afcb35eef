"""Folha, ponto e admissões."""
import enum
from dataclasses import dataclass
from datetime import date, time
from typing import List, Optional, Tuple


class Turno(enum.Enum):
    MANHA = 1
    TARDE = 2
    NOITE = 3


class Contrato(str, enum.Enum):
    CLT = "clt"
    PJ = "pj"
    ESTAGIO = "estagio"
    TEMPORARIO = "temporario"
    INTERMITENTE = "intermitente"


@dataclass
class Endereco:
    rua: str
    numero: int
    cep: str
    complemento: str = ""


@dataclass
class Pessoa:
    nome: str
    cpf: str
    nascimento: date
    endereco: Endereco


def admitir(pessoa: Pessoa, cargo: str, salario: float, contrato: Contrato = Contrato.CLT, turno: Turno = Turno.MANHA):
    """Cadastra uma pessoa.

    :param pessoa: Quem entra.
    :param cargo: Como no plano de cargos.
    :param salario: Bruto, por mês.
    """
def demitir(matricula: int, data, aviso_previo=True):
    """Desliga uma pessoa.

    :param int matricula: Número na folha.
    :param data: Último dia.
    :type data: date
    :param bool aviso_previo: Cumpre aviso.
    """
def folha(mes, ano=2026, previa=False):
    """Calcula a folha.

    Args:
        mes (int): entre 1 e 12
        ano (int): ano da folha
        previa (bool, optional): não grava
    """
def ferias(matricula, inicio, dias=30, abono=None):
    """Programa férias.

    Parameters
    ----------
    matricula : int
        De quem.
    inicio : date
        Primeiro dia.
    dias : int, optional
        Quantos dias (10-30).
    abono : int or None
        Dias vendidos.
    """
def ponto(matricula: int, dia: date, entradas: List[time]): ...
def ajustar_ponto(ajustes: List[Tuple[int, date, time]], motivo: str): ...
def banco_de_horas(equipe: str, meses: int = 6): ...
def holerites(matriculas: Optional[List[int]] = None, mes: int = 1, enviar: bool = False): ...
def dependentes(matricula: int, nomes: list = []): ...
def beneficios(matricula: int, vale_transporte: bool = True, vale_refeicao: float = 32.5, plano: str = "basico"): ...
def escala(turnos: dict[str, list[str]], semana: int): ...
def treinamento(titulo: str, turma: list[str], carga: float = 8, online: bool = True): ...
def promover(matricula: int, cargo: str, aumento: float = 0.1): ...
def esocial(evento: str, lote: list[dict[str, str]]): ...
def exames(empresa: str, tipos: set = {"admissional", "periodico"}): ...
def aniversariantes(mes: int | None = None): ...
def organograma(raiz: str = "diretoria", profundidade: int = 3, formato: str = "svg"): ...
def contratar_lote(pessoas: list[Pessoa], inicio: date): ...
def atualizar_salarios(percentual: float, exceto: list[int] = []): ...
def desligamentos(desde, ate=None): ...
