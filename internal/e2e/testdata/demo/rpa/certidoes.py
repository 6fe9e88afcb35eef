"""Certidões negativas nos portais do governo."""

import os
import struct
import time
import zlib

FIM = os.path.join(os.path.dirname(__file__), "fim")  # ends what would go on all day


class ElementoAusente(Exception):
    pass


def baixar(cnpj: str, orgao: str = "receita"):
    """Baixa a certidão negativa de um órgão."""
    print("abrindo o navegador")
    print("preenchendo o CNPJ", cnpj)
    time.sleep(0.05)
    fotografar("portal.png")
    raise ElementoAusente('o botão "Emitir certidão" não apareceu em 30 s (portal da %s)' % orgao)


def renovar_todas():
    """Renova as certidões de todas as filiais."""
    n = 0
    while not os.path.exists(FIM):
        n += 1
        print("filial %02d: certidão válida até 30/%02d/2027" % (n % 40 + 1, n % 12 + 1))
        time.sleep(0.5)


def fotografar(nome):
    """Guarda a tela, como um navegador a mostraria."""
    largura, altura = 480, 300
    cores = {"fundo": (244, 246, 249), "barra": (18, 62, 124), "campo": (255, 255, 255), "texto": (176, 184, 196), "aviso": (250, 226, 170)}
    caixas = [
        ("barra", 0, 0, 480, 44), ("campo", 14, 14, 130, 30), ("texto", 40, 74, 240, 88), ("campo", 40, 100, 440, 130), ("texto", 54, 111, 190, 119),
        ("aviso", 40, 156, 440, 196), ("texto", 56, 170, 380, 180), ("texto", 40, 226, 330, 236), ("texto", 40, 250, 280, 260),
    ]
    linhas = []
    for y in range(altura):
        linha = [cores["fundo"]] * largura
        for cor, x0, y0, x1, y1 in caixas:
            if y0 <= y < y1:
                linha[x0:x1] = [cores[cor]] * (x1 - x0)
        linhas.append(b"\0" + b"".join(bytes(c) for c in linha))

    def parte(tipo, dados):
        return struct.pack(">I", len(dados)) + tipo + dados + struct.pack(">I", zlib.crc32(tipo + dados))

    with open(os.path.join(os.environ["DISTRO_ARTIFACTS"], nome), "wb") as arquivo:
        arquivo.write(b"\x89PNG\r\n\x1a\n" + parte(b"IHDR", struct.pack(">IIBBBBB", largura, altura, 8, 2, 0, 0, 0)))
        arquivo.write(parte(b"IDAT", zlib.compress(b"".join(linhas))) + parte(b"IEND", b""))
