"""The process of a job: receives calls, runs them, answers with results.

docs/python-protocol.md specifies the frames. A zygote forks this module's
process (fork, pool) or executes it as a script in a cold interpreter (spawn).
Little is imported here: every page touched is paid for by each fresh process.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
if HERE not in sys.path:
    sys.path.insert(0, HERE)  # where PYTHONSAFEPATH keeps it out

import builtins
import json
import struct
import types
from importlib import import_module

try:
    import _pickle as pickle
except ImportError:
    import pickle
import _signal

import sources

try:
    import resource
except ImportError:  # not on Windows
    resource = None

VERSION = 1
HEADER = struct.Struct(">BBHII")
KIND_READY, KIND_JOB, KIND_RESULT, KIND_DECLINE = 1, 2, 3, 4

MAX_VIEW = 16 << 10
VIEW = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
MAX_TRACEBACK = 64 << 10
MAX_MESSAGE = 2 << 10
MAX_BODY = 256 << 20

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


# --- frames


class Frames:
    """Reads frames. What came with a frame and belongs to the next is kept."""

    def __init__(self, fd):
        self.fd = fd
        self.rest = b""

    def take(self, size):
        """Returns size bytes, or None at the end of the stream."""
        while len(self.rest) < size:
            data = os.read(self.fd, max(65536, min(size - len(self.rest), 1 << 20)))
            if not data:
                return None
            if not self.rest:
                self.rest = data
                continue
            if type(self.rest) is bytes:
                self.rest = bytearray(self.rest)
            self.rest += data
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def read(self):
        """Returns (kind, header, body), or None when the worker has gone."""
        try:
            head = self.take(HEADER.size)
            if head is None:
                return None
            version, kind, _, header_size, body_size = HEADER.unpack(head)
            if version != VERSION:
                raise SystemExit("frame of version %d, this is %d" % (version, VERSION))
            header = self.take(header_size)
            body = self.take(body_size)
        except ConnectionError:
            return None
        if header is None or body is None:
            return None
        return kind, json.loads(header), body


def write_frame(fd, kind, header, body=b""):
    text = json.dumps(header).encode()
    data = HEADER.pack(VERSION, kind, 0, len(text), len(body)) + text
    if len(body) < 1 << 16:
        data += body
        body = b""
    for part in (data, body):
        view = memoryview(part)
        while view:
            view = view[os.write(fd, view):]


# --- one call


def resolve(name):
    """Returns the object a dotted name means: the longest importable prefix is
    the module. An import that fails inside a module is that import's error."""
    parts = name.split(".")
    not_found = None
    for cut in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:cut])
        try:
            found = import_module(module_name)
        except ModuleNotFoundError as error:
            not_found = not_found or error
            if cut == 1 or not (module_name + ".").startswith((error.name or "") + "."):
                raise
            continue
        if not_found is not None and not hasattr(found, parts[cut]):
            raise not_found
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    return getattr(builtins, name)


def decode(serializer, body):
    """Returns (callable, args, kwargs) of RQ's call tuple."""
    name, instance, args, kwargs = json.loads(body) if serializer == "json" else pickle.loads(body)
    function = getattr(instance, name) if instance is not None else resolve(name)
    return function, args, kwargs


class Deadline:
    """Raises RQ's timeout exception in the main thread when the time is over."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.armed = False
        self.raised = ()  # class of the exception, once it was raised

    def start(self):
        if self.seconds is None:
            return
        self.armed = True
        if hasattr(_signal, "setitimer"):
            _signal.signal(_signal.SIGALRM, self.fire)
            _signal.setitimer(_signal.ITIMER_REAL, max(self.seconds, 1e-6))
        else:
            import threading

            self.timer = threading.Timer(self.seconds, self.fire_in, (threading.get_ident(),))
            self.timer.daemon = True
            self.timer.start()

    def stop(self):
        was_armed, self.armed = self.armed, False
        if not was_armed:
            return
        if hasattr(_signal, "setitimer"):
            _signal.setitimer(_signal.ITIMER_REAL, 0)
        else:
            self.timer.cancel()

    def fire(self, *_):
        if self.armed:
            self.raised = timeout_class()
            raise self.raised("Task exceeded maximum timeout value (%s seconds)" % self.seconds)

    def fire_in(self, thread):
        import ctypes

        if self.armed:
            self.raised = timeout_class()
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(self.raised))


def timeout_class():
    try:
        from rq.timeouts import JobTimeoutException
    except ImportError:
        return type("JobTimeoutException", (TimeoutError,), {"__module__": "rq.timeouts"})
    return JobTimeoutException


def perform(job, body):
    """Runs one call; returns the header and the body of the result frame."""
    deadline = Deadline(job["timeout"])
    try:
        try:
            deadline.start()
            function, args, kwargs = decode(job["serializer"], body)
            value = function(*args, **kwargs)
            if isinstance(value, types.CoroutineType):
                import asyncio

                value = asyncio.run(value)
        finally:
            deadline.stop()
    except BaseException as error:  # SystemExit and KeyboardInterrupt fail the job, as in RQ
        return describe(error, deadline.raised), b""
    try:
        data = b"" if value is None else pickle.dumps(value, 5)
        pickled = True
    except BaseException:
        data, pickled = b"", False
    if len(data) > MAX_BODY:
        data, pickled = b"", False
    text, is_json, truncated = show(value, len(data), pickled)
    return {"ok": True, "pickled": pickled and value is not None, "view": text, "json": is_json, "truncated": truncated}, data


def show(value, size, pickled):
    """Returns (text, is JSON, truncated): a value for people, bounded."""
    if pickled and size <= MAX_VIEW:
        try:
            text = VIEW.encode(value)
            text.encode()
            if len(text) <= MAX_VIEW:
                return text, True, False
        except (TypeError, ValueError, RecursionError):
            pass
    try:
        if pickled and size <= MAX_VIEW:
            text = repr(value)
        else:
            import reprlib

            short = reprlib.Repr()
            short.maxstring = short.maxother = MAX_VIEW // 4
            short.maxlist = short.maxtuple = short.maxdict = short.maxset = 100
            text = short.repr(value)
            return text[:MAX_VIEW], False, True
    except BaseException as error:
        text = "<%s whose repr raises %s>" % (type(value).__name__, type(error).__name__)
    return text[:MAX_VIEW], False, len(text) > MAX_VIEW


def describe(error, timeout=()):
    """Returns the header of the result frame of a call that raised; timeout is
    the class that its deadline raised, if it did."""
    kind = type(error)
    module = getattr(kind, "__module__", "builtins")
    header = {
        "ok": False,
        "kind": "exception",
        "type": (kind.__qualname__ if module in ("builtins", "__main__") else "%s.%s" % (module, kind.__qualname__))[:200],
        "message": bounded(lambda: str(error), MAX_MESSAGE),
        "traceback": bounded(lambda: format_traceback(error), MAX_TRACEBACK),
    }
    if isinstance(error, timeout):
        header["kind"] = "timeout"
    elif isinstance(error, SystemExit):
        code = error.code
        header["kind"] = "exit"
        header["exit_code"] = code & 0xFF if isinstance(code, int) else int(code is not None)
        header["message"] = bounded(lambda: "the function called sys.exit(%s)" % ("" if code is None else repr(code)), MAX_MESSAGE)
    return header


def bounded(make, limit):
    """Returns what make returns, the middle cut where it is longer than limit.
    Exceptions come from user code, so their texts may raise as well."""
    try:
        text = make()
    except BaseException as error:
        text = "<text not available: %s>" % type(error).__name__
    if len(text) > limit:
        text = "%s\n... %d characters cut ...\n%s" % (text[:limit // 2], len(text) - limit, text[-limit // 2:])
    return text


def format_traceback(error):
    import traceback

    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith("<frozen importlib"):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


# --- the process


def identity(fd):
    stat = os.fstat(fd)
    return stat.st_dev, stat.st_ino


class Folder:
    """A folder that jobs are to find empty. One whose time stamp has not moved
    since it was seen empty, some ticks after its last change, is not listed."""

    def __init__(self, path):
        self.path = path
        self.seen = None

    def used(self):
        stat = os.stat(self.path)
        if stat.st_mtime_ns == self.seen:
            return False
        if os.listdir(self.path):
            return True
        self.seen = None if sources.racy(stat) else stat.st_mtime_ns
        return False


class Runner:
    """One process that runs one job (or, pooled, job after job)."""

    def __init__(self, reading, writing, workdir, tmp, artifacts, state=None):
        self.frames = Frames(reading)
        self.writing = writing
        self.workdir = workdir
        self.tmp = Folder(tmp)
        self.artifacts = Folder(artifacts)
        self.pid = os.getpid()
        self.channel = identity(writing)
        for name in ("TMPDIR", "TEMP", "TMP"):
            os.environ[name] = self.tmp.path
        os.environ["DISTRO_ARTIFACTS"] = self.artifacts.path
        sys.argv[:] = ["distro"]
        self.fresh_main()
        self.jobs = 0
        self.cpu = 0.0  # seconds used before the job
        self.state = state and state(self)  # pooled.State, where the process is pooled

    def serve(self):
        import gc

        json.loads(b'["a", null, [], {}]')
        pickle.dumps(None)
        write_frame(self.writing, KIND_READY, {"pid": os.getpid()})
        while True:
            frame = self.frames.read()
            if frame is None:
                os._exit(0)
            _, job, body = frame
            if self.jobs and sources.Loader.stale():
                write_frame(self.writing, KIND_DECLINE, {"reason": "a file changed"})
                os._exit(0)
            gc.enable()
            header, data = self.one(job, body)
            missed = sources.Loader.compiled.missed
            if missed:
                header["sources"] = missed[:]
                missed.clear()
            self.jobs += 1
            reason = self.wear(header)
            if reason and self.state:
                header["retire"] = reason
            self.answer(header, data)
            if reason:
                os._exit(0)

    def fresh_main(self):
        main = types.ModuleType("__main__")
        main.__builtins__ = builtins
        sys.modules["__main__"] = main

    def one(self, job, body):
        names = {
            "DISTRO_JOB_ID": job["id"], "RQ_JOB_ID": job["id"], "RQ_WORKER_ID": job["worker"],
            "DISTRO_QUEUE": job["queue"], "DISTRO_ATTEMPT": str(job["attempt"]),
        }
        if self.state:
            self.state.set_environ(names)
        else:
            for name, value in names.items():
                os.environ[name] = value
        try:
            os.chdir(self.workdir)
        except OSError as error:
            return describe(error), b""
        header, data = perform(job, body)
        if os.getpid() != self.pid:  # a child that the job forked, and that came back here
            os._exit(header.get("exit_code", int(not header["ok"])))
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()
            except BaseException:
                pass
        self.keep_artifacts(job["artifacts"])
        return header, data

    def keep_artifacts(self, folder):
        """Moves what the job left for people to a folder of the job. The common
        job leaves nothing and must not pay for a folder."""
        try:
            if self.artifacts.used():
                if os.path.exists(folder):  # of a deleted job that had this id
                    import shutil

                    shutil.rmtree(folder)
                os.rename(self.artifacts.path, folder)
                os.mkdir(self.artifacts.path, 0o700)
        except OSError as error:
            print("distro: files left in DISTRO_ARTIFACTS are lost: %s" % error, file=sys.__stderr__, flush=True)

    def wear(self, header):
        """Adds what the job cost. Returns why this process ends, or None."""
        peak = 0
        if resource is not None:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            cpu = usage.ru_utime + usage.ru_stime
            header["cpu_us"], self.cpu = int((cpu - self.cpu) * 1e6), cpu
            header["maxrss"] = peak = usage.ru_maxrss * MAXRSS_UNIT
        if self.state is None:
            return "one job"
        try:
            return self.state.restore(self.jobs, peak)
        except BaseException as error:
            return "restore: %s" % type(error).__name__

    def answer(self, header, data):
        try:
            if identity(self.writing) != self.channel:  # the job has closed it, and opened something else
                os._exit(72)
            write_frame(self.writing, KIND_RESULT, header, data)
        except OSError:
            os._exit(70)


def clean_environ():
    """Removes what the worker told this process and no job may see."""
    for name in [name for name in os.environ if name.startswith("DISTRO_")]:
        del os.environ[name]


def start_cold():
    """Serves one job in a fresh interpreter.

    Arguments: the job channel, modules_path, the working directory, folders for
    temporary files and for artifacts. The channel is the number of a socket, or on
    Windows the numbers of two pipe handles: to read from, to write to.
    """
    channel, root, workdir, tmp, artifacts = sys.argv[1:6]
    if os.name == "nt":
        import msvcrt

        first, second = channel.split(",")
        reading = msvcrt.open_osfhandle(int(first), os.O_RDONLY | os.O_BINARY)
        writing = msvcrt.open_osfhandle(int(second), os.O_BINARY)
    else:
        reading = writing = int(channel)
        os.set_inheritable(reading, False)
    sys.path[:] = [path for path in sys.path if path != HERE]
    clean_environ()
    sources.install(root)
    sys.modules.pop("sources")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", line_buffering=True)
    Runner(reading, writing, workdir, tmp, artifacts).serve()


if __name__ == "__main__":
    start_cold()
