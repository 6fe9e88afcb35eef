"""Verificação de serviços HTTP."""

import asyncio
import time
import urllib.error
import urllib.request

HEALTHZ = "http://127.0.0.1:7000/healthz"


def check(url: str = HEALTHZ, expected: int = 200, timeout: float = 5.0) -> dict:
    """Pede uma página e falha se a resposta não for a esperada.

    expected  status HTTP esperado
    timeout   segundos de espera
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} não é um endereço http:// ou https://")
    begin = time.monotonic()
    try:
        # Sem proxy: os serviços verificados são da própria rede.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=timeout) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except OSError as error:
        raise ConnectionError(f"{url} não responde: {error}") from error
    milliseconds = round((time.monotonic() - begin) * 1000, 1)
    print(f"{url}: {status} em {milliseconds} ms")
    if status != expected:
        raise RuntimeError(f"{url} respondeu {status}, esperado {expected}")
    return {"url": url, "status": status, "milliseconds": milliseconds}


async def check_all(urls: tuple = (HEALTHZ,), timeout: float = 5.0) -> dict:
    """Verifica vários endereços ao mesmo tempo; diz quais estão fora do ar."""
    answers = await asyncio.gather(*(asyncio.to_thread(check, url, timeout=timeout) for url in urls), return_exceptions=True)
    down = {}
    for url, answer in zip(urls, answers):
        if isinstance(answer, Exception):
            print(answer)
            down[url] = str(answer)
    print(f"{len(urls) - len(down)} de {len(urls)} no ar")
    return {"up": len(urls) - len(down), "down": down}
