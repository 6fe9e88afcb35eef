"""The process of a job: receives calls, runs them, answers with results.

docs/python-protocol.md specifies the frames. A zygote forks this module's
process (fork, pool) or executes it as a script in a cold interpreter (spawn).
Little is imported here: every page touched is paid for by each fresh process.
"""

import builtins
import io
import json
import os
import struct
import sys
import time
import types
from importlib import machinery

try:
    import _pickle as pickle
except ImportError:
    import pickle
import _signal

try:
    import resource
except ImportError:  # not on Windows
    resource = None

VERSION = 1
HEADER = struct.Struct(">BBHII")
KIND_READY, KIND_JOB, KIND_RESULT, KIND_DECLINE = 1, 2, 3, 4

MAX_VIEW = 16 << 10
MAX_TRACEBACK = 64 << 10
MAX_MESSAGE = 2 << 10
MAX_SOURCES = 64

# A file changed this shortly before it was read may change again without a
# change of its time stamp: file systems stamp with the granularity of a tick.
RACY_NS = 50_000_000

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024

POOL_JOBS = 1000
POOL_GROWTH = 50 << 20


class Compiled:
    """Code objects of files under modules_path, by path and stamp.

    The zygote fills it (see remember) and never runs what it holds; processes
    of jobs inherit it and look up only.
    """

    def __init__(self):
        self.codes = {}
        self.missed = []

    def get(self, path, stat):
        entry = self.codes.get(path)
        if entry is not None and entry[0] == stamp(stat):
            return entry[1]
        if len(self.missed) < MAX_SOURCES:
            self.missed.append(path)
        return None

    def remember(self, path):
        try:
            with io.FileIO(path) as file:
                stat = os.fstat(file.fileno())
                if racy(stat) or stat.st_size > 1 << 20 or len(self.codes) > 4000:
                    return
                source = file.read()
            self.codes[path] = (stamp(stat), compile(source, path, "exec", dont_inherit=True))
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            self.codes.pop(path, None)


def stamp(stat):
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def racy(stat):
    return time.time_ns() - stat.st_mtime_ns < RACY_NS


class Loader(machinery.SourceFileLoader):
    """Loads sources under modules_path without __pycache__."""

    compiled = Compiled()
    loaded = {}  # path -> (stamp, source where the stamp cannot be trusted)

    def get_code(self, fullname):
        path = self.path
        stat = os.stat(path)
        code = self.compiled.get(path, stat)
        source = None
        if code is None:
            source = self.get_data(path)
            code = self.source_to_code(source, path)
            if not racy(stat):
                source = None
        self.loaded[path] = (stamp(stat), source)
        return code

    @classmethod
    def stale(cls):
        """Reports whether a loaded file is not what it was when it was loaded."""
        for path, (then, source) in cls.loaded.items():
            try:
                stat = os.stat(path)
                if stamp(stat) != then:
                    return True
                if source is not None and not racy(stat):
                    with io.FileIO(path) as file:
                        if file.read() != source:
                            return True
                    cls.loaded[path] = (then, None)
            except OSError:
                return True
        return False


class Alias:
    """Finds <folder>.module as module, for producers that import the folder
    of the automations as a package; both names are one module object."""

    def __init__(self, root):
        self.name = os.path.basename(root)
        self.init = os.path.join(root, "__init__.py")
        self.prefix = self.name + "."

    def find_spec(self, fullname, path=None, target=None):
        if fullname == self.name:
            if not os.path.isfile(self.init):
                return None
            spec = machinery.ModuleSpec(fullname, Loader(fullname, self.init), origin=self.init, is_package=True)
            spec.has_location = True
            return spec
        if fullname.startswith(self.prefix) and self.name in sys.modules:
            return machinery.ModuleSpec(fullname, self)
        return None

    def create_module(self, spec):
        import importlib

        module = importlib.import_module(spec.name[len(self.prefix):])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = module.__spec__.loader_state


def install(root):
    """Puts modules_path first on sys.path and its sources under Loader."""

    def hook(path):
        inside = path == root or path.startswith(root + os.sep)
        if not inside or "site-packages" in path:
            raise ImportError
        return machinery.FileFinder(
            path,
            (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
            (Loader, machinery.SOURCE_SUFFIXES),
        )

    sys.path_hooks.insert(0, hook)
    for path in list(sys.path_importer_cache):
        if path.startswith(root):
            del sys.path_importer_cache[path]
    sys.path[:] = [root] + [path for path in sys.path if path not in ("", root)]
    sys.meta_path.append(Alias(root))


# --- frames


def read_exactly(fd, size):
    """Returns size bytes, or None at the end of the stream."""
    data = os.read(fd, min(size, 1 << 20)) if size else b""
    if len(data) == size:
        return data
    if not data:
        return None
    buffer = bytearray(data)
    while len(buffer) < size:
        data = os.read(fd, min(size - len(buffer), 1 << 20))
        if not data:
            return None
        buffer += data
    return bytes(buffer)


def read_frame(fd):
    """Returns (kind, header, body), or None when the worker has gone."""
    try:
        head = read_exactly(fd, HEADER.size)
        if head is None:
            return None
        version, kind, _, header_size, body_size = HEADER.unpack(head)
        if version != VERSION:
            raise SystemExit("frame of version %d, this is %d" % (version, VERSION))
        rest = read_exactly(fd, header_size + body_size)
    except ConnectionError:
        return None
    if rest is None:
        return None
    return kind, json.loads(rest[:header_size]), rest[header_size:]


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
    import importlib

    parts = name.split(".")
    not_found = None
    for cut in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:cut])
        try:
            found = importlib.import_module(module_name)
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
    text, is_json, truncated = show(value, len(data), pickled)
    return {"ok": True, "pickled": pickled and value is not None, "view": text, "json": is_json, "truncated": truncated}, data


def show(value, size, pickled):
    """Returns (text, is JSON, truncated): a value for people, bounded."""
    if pickled and size <= MAX_VIEW:
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
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
        "type": kind.__qualname__ if module in ("builtins", "__main__") else "%s.%s" % (module, kind.__qualname__),
        "message": bounded(lambda: str(error), MAX_MESSAGE),
        "traceback": bounded(lambda: format_traceback(error), MAX_TRACEBACK),
    }
    if isinstance(error, timeout):
        header["kind"] = "timeout"
    elif isinstance(error, SystemExit):
        code = error.code
        header["kind"] = "exit"
        header["exit_code"] = code if isinstance(code, int) else int(code is not None)
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


class Runner:
    """One process that runs one job (or, pooled, job after job)."""

    def __init__(self, reading, writing, workdir, scratch, pooled):
        self.reading = reading
        self.writing = writing
        self.workdir = workdir
        self.pooled = pooled
        self.tmp = os.path.join(scratch, "tmp")
        os.mkdir(scratch, 0o700)
        os.mkdir(self.tmp, 0o700)
        os.environ["TMPDIR"] = os.environ["TEMP"] = os.environ["TMP"] = self.tmp
        sys.argv[:] = ["distro"]
        self.jobs = 0

    def serve(self):
        import gc

        json.loads(b'["a", null, [], {}]')
        pickle.dumps(None)
        self.main()
        if self.pooled:
            self.base = State()
        write_frame(self.writing, KIND_READY, {"pid": os.getpid()})
        while True:
            frame = read_frame(self.reading)
            if frame is None:
                os._exit(0)
            _, job, body = frame
            if self.jobs and Loader.stale():
                write_frame(self.writing, KIND_DECLINE, {"reason": "a file changed"})
                os._exit(0)
            gc.enable()
            header, data = self.one(job, body)
            if len(Loader.compiled.missed):
                header["sources"] = Loader.compiled.missed[:]
                Loader.compiled.missed.clear()
            if not self.pooled:
                self.answer(header, data)
                os._exit(0)
            self.jobs += 1
            reason = self.restore()
            if reason:
                header["retire"] = reason
            self.answer(header, data)
            if reason:
                os._exit(0)

    def main(self):
        main = types.ModuleType("__main__")
        main.__builtins__ = builtins
        sys.modules["__main__"] = main

    def one(self, job, body):
        environ = os.environ
        environ["DISTRO_JOB_ID"] = environ["RQ_JOB_ID"] = job["id"]
        environ["RQ_WORKER_ID"] = job["worker"]
        environ["DISTRO_QUEUE"] = job["queue"]
        environ["DISTRO_ATTEMPT"] = str(job["attempt"])
        environ["DISTRO_ARTIFACTS"] = artifacts = job["artifacts"]
        try:
            os.mkdir(artifacts, 0o700)
        except OSError:
            pass  # a rescued attempt left it
        try:
            os.chdir(self.workdir)
        except OSError as error:
            return describe(error), b""
        began = time.process_time()
        header, data = perform(job, body)
        header["cpu"] = time.process_time() - began
        if resource is not None:
            header["maxrss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()
            except BaseException:
                pass
        try:
            os.rmdir(artifacts)  # where the job left nothing in it
        except OSError:
            pass
        return header, data

    def answer(self, header, data):
        try:
            write_frame(self.writing, KIND_RESULT, header, data)
        except OSError:
            os._exit(70)

    def restore(self):
        """Puts the process back as it was before the job. Returns why it cannot
        serve another, or None."""
        try:
            return self.base.restore(self) or (self.jobs >= POOL_JOBS and "%d jobs" % POOL_JOBS) or None
        except BaseException as error:
            return "restore: %s" % type(error).__name__


class State:
    """What a job may change in its process, as it is before the first job."""

    def __init__(self):
        self.page = resource.getpagesize()
        self.environ = dict(os.environ._data)
        self.umask = os.umask(0o022)
        os.umask(self.umask)
        self.path = list(sys.path)
        self.argv = list(sys.argv)
        self.stdio = (sys.stdin, sys.stdout, sys.stderr)
        self.signals = [(n, _signal.getsignal(n)) for n in range(1, _signal.NSIG) if _signal.getsignal(n) is not None]
        self.size = self.resident()

    def resident(self):
        with io.FileIO("/proc/self/statm") as file:
            return int(file.read().split()[1]) * self.page

    def restore(self, runner):
        import _thread

        if _thread._count():
            return "threads left behind"
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return "children left behind"
        except ChildProcessError:
            pass
        if (sys.stdin, sys.stdout, sys.stderr) != self.stdio:
            sys.stdin, sys.stdout, sys.stderr = self.stdio
        if sys.stdout.closed or sys.stderr.closed:
            return "output closed"
        for fd in (0, 1, 2):
            os.fstat(fd)
        self.restore_environ()
        os.umask(self.umask)
        if sys.path != self.path:
            sys.path[:] = self.path
        if sys.argv != self.argv:
            sys.argv[:] = self.argv
        for number, handler in self.signals:
            if _signal.getsignal(number) is not handler and number not in (_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGALRM):
                _signal.signal(number, handler)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        runner.main()
        if os.listdir(runner.tmp):
            import shutil

            shutil.rmtree(runner.tmp)
            os.mkdir(runner.tmp, 0o700)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - self.size > POOL_GROWTH and self.resident() - self.size > POOL_GROWTH:
            return "grown by more than %d MB" % (POOL_GROWTH >> 20)
        return None

    def restore_environ(self):
        if os.environ._data == self.environ:
            return
        for name in list(os.environ._data):
            if name not in self.environ:
                del os.environ[os.environ.decodekey(name)]
        for name, value in self.environ.items():
            if os.environ._data.get(name) != value:
                os.environ[os.environ.decodekey(name)] = os.environ.decodevalue(value)


def clean_environ():
    """Removes what the worker told this process and no job may see."""
    for name in [name for name in os.environ if name.startswith("DISTRO_")]:
        del os.environ[name]


def start_cold():
    """Serves one job in a fresh interpreter.

    Arguments: the job channel, modules_path, the working directory, a folder
    to make for temporary files. The channel is the number of a socket, or on
    Windows the numbers of two pipe handles: to read from, to write to.
    """
    channel, root, workdir, scratch = sys.argv[1:5]
    if os.name == "nt":
        import msvcrt

        first, second = channel.split(",")
        reading = msvcrt.open_osfhandle(int(first), os.O_RDONLY | os.O_BINARY)
        writing = msvcrt.open_osfhandle(int(second), os.O_BINARY)
    else:
        reading = writing = int(channel)
        os.set_inheritable(reading, False)
    del sys.path[0]
    clean_environ()
    install(root)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    Runner(reading, writing, workdir, scratch, False).serve()


if __name__ == "__main__":
    start_cold()
