"""Jobs of producers that use RQ: one function for each thing a job can do."""

import asyncio
import os
import signal
import sys
import time

import rq


def note(list_name, text):
    rq.get_current_job().connection.rpush("test:" + list_name, text)


def begins():
    note("order", rq.get_current_job().id)


def add(a, b=0):
    begins()
    return a + b


def nothing():
    begins()


def echo(*args, **kwargs):
    return args, kwargs


class Numbers:
    factor = 2

    def __init__(self, start):
        self.start = start

    def __repr__(self):
        return f"Numbers({self.start})"

    @staticmethod
    def static(n):
        begins()
        return n + 1

    @classmethod
    def by_class(cls, n):
        begins()
        return n * cls.factor

    def by_instance(self, n):
        begins()
        return self.start + n

    def __call__(self, n):
        begins()
        return self.start - n


def an_object():
    begins()
    return Numbers(7)


def unpicklable():
    begins()
    return lambda: None


def large(text):
    begins()
    return text + text


async def coroutine(n):
    begins()
    await asyncio.sleep(0)
    return n * 3


def saves_meta():
    begins()
    job = rq.get_current_job()
    job.meta["progress"] = job.meta.get("progress", 0) + 50
    job.save_meta()
    job.meta["never saved"] = True


def describes_itself(worker):
    begins()
    job = rq.get_current_job()
    return {
        "id": job.id,
        "origin": job.origin,
        "func_name": job.func_name,
        "args": job.args,
        "description": job.description,
        "timeout": job.timeout,
        "status": str(job.get_status()),
        "worker": job.worker_name == worker,
        "started": job.started_at is not None,
        "RQ_JOB_ID": os.environ["RQ_JOB_ID"],
        "cwd": os.getcwd() == os.path.dirname(os.path.abspath(__file__)),
        "module": __name__,
    }


def enqueues(job_id):
    begins()
    job = rq.get_current_job()
    rq.Queue("default", connection=job.connection).enqueue(add, 20, 22, job_id=job_id)
    return rq.Queue("default").count


def prints():
    begins()
    print("to standard output")
    print("to standard error", file=sys.stderr)
    return sys.stdin.read()


def raises():
    begins()
    try:
        {}["no such key"]
    except KeyError as error:
        raise ValueError("não dá: \u2603") from error


def runs_long():
    begins()
    try:
        while True:
            time.sleep(0.01)
    finally:
        note("cleanups", rq.get_current_job().id)


def swallows_the_timeout():
    begins()
    try:
        while True:
            time.sleep(0.01)
    except Exception as error:
        return type(error).__name__


def exits():
    begins()
    sys.exit(3)


def exits_at_once(code):
    begins()
    os._exit(code)


def is_killed():
    begins()
    os.kill(os.getpid(), signal.SIGKILL)


def fails_until(run):
    """Fails the first runs of a job."""
    begins()
    job = rq.get_current_job()
    n = job.connection.incr("test:runs:" + job.id)
    if n < run:
        raise RuntimeError(f"run {n}")
    return n


def on_success(job, connection, result, *args, **kwargs):
    connection.rpush("test:callbacks", f"{job.id} succeeded with {result!r} {job.meta}")


def on_failure(job, connection, kind, value, traceback):
    connection.rpush("test:callbacks", f"{job.id} failed with {kind.__name__}: {value}, traceback {traceback is not None}")


def broken_on_success(job, connection, result, *args, **kwargs):
    raise RuntimeError("the callback is broken")


def broken_on_failure(job, connection, kind, value, traceback):
    raise RuntimeError("the callback is broken too")


def waits(key):
    """Says that it runs, and ends when somebody pushes to a key."""
    begins()
    job = rq.get_current_job()
    job.connection.rpush("test:running", job.id)
    return job.connection.blpop([key], 60)[1].decode()


def kills_its_worker():
    begins()
    job = rq.get_current_job()
    pid = int(job.connection.hget("rq:worker:" + job.worker_name, "pid"))
    job.connection.rpush("test:running", job.id)
    os.kill(pid, signal.SIGKILL)
    time.sleep(60)
    job.connection.rpush("test:order", "survived")
