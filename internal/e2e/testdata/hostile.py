import asyncio
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time


def leave():
    os._exit(7)


def crash():
    ctypes.string_at(0)


def eat():
    hog = []
    while True:
        hog.append(bytearray(16 << 20))


def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "600"])
        os._exit(0)
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    time.sleep(0.05)


def print_much(megabytes):
    line = "x" * 1023 + "\n"
    for _ in range(megabytes * 1024):
        sys.stdout.write(line)


def close_all():
    os.closerange(0, 4096)


def threads():
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(600,)).start()


def square(n):
    return n * n


def processes(method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(square, [1, 2, 3]) == [1, 4, 9]
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)).start()


async def gather():
    await asyncio.gather(*[asyncio.sleep(0.01) for _ in range(10)])


def never():
    while True:
        time.sleep(1)


def stubborn():
    while True:
        try:
            while True:
                time.sleep(1)
        except BaseException:
            pass


def deaf(ready):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(ready, "w").close()
    while True:
        time.sleep(1)


def quiet():
    return 1
