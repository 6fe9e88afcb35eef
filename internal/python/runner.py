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
from _collections_abc import Coroutine

import current
import sources

try:
    import resource
except ImportError:  # not on Windows
    resource = None

VERSION = 1
HEADER = struct.Struct(">BBHII")
KIND_READY, KIND_JOB, KIND_RESULT, KIND_DECLINE, KIND_CALLBACK = 1, 2, 3, 4, 5

MAX_VIEW = 16 << 10
VIEW = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
MAX_TRACEBACK = 64 << 10
MAX_MESSAGE = 2 << 10
MAX_BODY = 256 << 20
UNSERIALIZABLE = "Unserializable return value"  # RQ's words

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
    """Returns the object a dotted name means, as RQ finds it: the longest
    importable prefix is the module, behind it stands an attribute, or a class
    and an attribute; a bare name is a builtin. An import that fails inside a
    module is that import's error."""
    parts = name.split(".")
    if len(parts) == 1 and hasattr(builtins, name):
        return getattr(builtins, name)
    not_found = None
    for cut in range(len(parts) - 1, max(len(parts) - 3, 0), -1):
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
    raise not_found or ValueError("Invalid attribute name: %s" % name)


def codec(name):
    """Returns (loads, dumps) of a serializer."""
    if name == "pickle":
        return pickle.loads, lambda value: pickle.dumps(value, 5)
    if name == "json":
        return json.loads, lambda value: json.dumps(value).encode()
    serializer = resolve(name)
    return serializer.loads, serializer.dumps


def rq_class(module, name, base):
    """Returns a class of the user's rq, or one that looks the same where rq is
    not installed."""
    try:
        return getattr(import_module(module), name)
    except Exception:
        return type(name, (base,), {"__module__": module})


# Modules of Python that take any OSError for "no such file". Without rq the
# exception of a timeout is one; raised in their calls it would be lost.
HIDES_ERRORS = {"importlib._bootstrap", "importlib._bootstrap_external", "zipimport", "genericpath"}


class Deadline:
    """Raises RQ's timeout exception in the main thread when the time is over.
    Its class is added to raised then."""

    def __init__(self, seconds, raised):
        self.seconds = seconds
        self.raised = raised
        self.armed = False

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

    def exception(self):
        kind = rq_class("rq.timeouts", "JobTimeoutException", TimeoutError)
        self.raised.append(kind)
        return kind, "Task exceeded maximum timeout value (%s seconds)" % self.seconds

    def fire(self, _, frame):
        if not self.armed:
            return
        if frame is not None and frame.f_globals.get("__name__") in HIDES_ERRORS:
            _signal.setitimer(_signal.ITIMER_REAL, 0.001)  # by then its call has ended
            return
        kind, message = self.exception()
        raise kind(message)

    def fire_in(self, thread):
        import ctypes

        if self.armed:
            kind, message = self.exception()  # only a class can be thrown into a thread
            thrown = type(kind.__name__, (kind,), {"__module__": kind.__module__, "__init__": lambda this: kind.__init__(this, message)})
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(thrown))


class Attempt:
    """One call with its callbacks. Announce is told the time limit of a
    callback before it is called, and says whether to."""

    def __init__(self, job, body, now, announce):
        self.job = job
        self.body = body
        self.now = now  # current.Current
        self.announce = announce
        self.raised = []  # classes that deadlines raised
        self.dumps = None

    def run(self):
        """Returns the header and the body of the result frame."""
        try:
            if "stopped" in self.job:
                self.callback("stopped", None)
                value = None
            else:
                value = self.limited(self.job["timeout"], self.call)
                again = asked_again(value, self.job.get("asked", 0))
                if again is not None:
                    return again, b""
                self.callback("on_success", "finished", value)
        except BaseException as error:  # SystemExit and KeyboardInterrupt fail the job, as in RQ
            return describe(self.failed(error), tuple(self.raised)), b""
        return self.encode(value)

    def limited(self, seconds, function, *args):
        deadline = Deadline(seconds, self.raised)
        try:
            deadline.start()
            return function(*args)
        finally:
            deadline.stop()

    def call(self):
        loads, self.dumps = codec(self.job["serializer"])
        try:
            name, instance, args, kwargs = loads(self.body)
        except Exception as error:
            if isinstance(error, tuple(self.raised)):
                raise
            reason = "the payload is no call in serializer %s: %s: %s" % (self.job["serializer"], type(error).__name__, error)
            raise rq_class("rq.exceptions", "DeserializationError", Exception)(reason) from error
        self.now.calling = True
        try:
            function = getattr(instance, name) if instance else resolve(name)
            value = function(*args, **kwargs)
            return run_coroutine(value) if isinstance(value, Coroutine) else value
        finally:
            self.now.calling = False

    def callback(self, which, outcome, *values):
        callback = self.job.get(which)
        if callback is not None and self.announce(callback["timeout"]):
            self.limited(callback["timeout"], self.call_back, callback["name"], outcome, values)

    def call_back(self, name, outcome, values):
        function = resolve(name)
        job = self.now.ended(outcome, *values[:1] if outcome == "finished" else ())
        function(job, job.connection, *values)

    def failed(self, error):
        """Calls the callback for failures. Returns the error that counts: the
        callback's own, if it fails."""
        try:
            if "stopped" not in self.job:
                self.callback("on_failure", "failed", type(error), error, error.__traceback__)
        except BaseException as another:
            return another
        return error

    def encode(self, value):
        data, encoded = b"", True
        if value is not None:
            try:
                data = self.dumps(value)
                encoded = type(data) is bytes and len(data) <= MAX_BODY
            except BaseException:
                encoded = False
        text, is_json, truncated = show(value, len(data), encoded)
        header = {"ok": True, "pickled": encoded and value is not None, "view": text, "json": is_json, "truncated": truncated}
        return header, data if encoded else self.unserializable()

    def unserializable(self):
        """Returns what RQ's readers get in place of a value."""
        try:
            return self.dumps(UNSERIALIZABLE) if "redis" in self.job else b""
        except BaseException:
            return b""


def run_coroutine(coroutine):
    """Runs a coroutine in a loop of its own, and ends what it has started. Other
    than asyncio.run it leaves the thread's loop alone: the next job may ask for
    it."""
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        try:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()


def asked_again(value, asked):
    """Returns the header of the result where a function returned RQ's Retry,
    else None. Asked is how often it did before."""
    retry = getattr(sys.modules.get("rq.job"), "Retry", ())
    if not isinstance(value, retry):
        return None
    header = {"ok": False, "kind": "retry"}
    if asked >= value.max:
        header["message"] = "the function returned Retry, but has been run again %d times, which is its max" % asked
        return header
    intervals = [value.intervals] if isinstance(value.intervals, int) else list(value.intervals)
    delay = intervals[min(asked, len(intervals) - 1)] if intervals else 0
    header["message"] = "the function returned Retry: %d of %d, after %s seconds" % (asked + 1, value.max, delay)
    header["again"] = {"delay": float(delay), "front": bool(getattr(value, "enqueue_at_front", False))}
    return header


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
        text = "<text not available: %s>\n" % type(error).__name__
    if len(text) > limit:
        text = "%s\n... %d characters cut ...\n%s" % (text[:limit // 2], len(text) - limit, text[-limit // 2:])
    return text


def format_traceback(error):
    import traceback

    chain = [error]
    for one in chain:
        one.__traceback__ = without_ours(one.__traceback__)
        chain += [other for other in (one.__cause__, one.__context__) if other is not None and all(other is not known for known in chain)]
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def without_ours(trace):
    """Leaves out what leads to the user's code, where there is such."""
    while trace is not None and trace.tb_next is not None:
        name = trace.tb_frame.f_code.co_filename
        if name not in (__file__, current.__file__, import_module.__code__.co_filename) and not name.startswith("<frozen importlib"):
            break
        trace = trace.tb_next
    return trace


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
        self.now = current.Current()
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
        self.now.begin(job, body)
        header, data = Attempt(job, body, self.now, self.announce).run()
        if os.getpid() != self.pid:  # a child that the job forked, and that came back here
            os._exit(header.get("exit_code", int(not header["ok"])))
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()
            except BaseException:
                pass
        if self.keep_artifacts(job["artifacts"]):
            header["artifacts"] = True
        if self.state:
            self.now.end()
        return header, data

    def announce(self, seconds):
        """Tells that a callback is going to run. Returns whether it is to: not
        in a child that the job forked, and that came back here."""
        if os.getpid() != self.pid:
            return False
        self.answer({"timeout": seconds}, kind=KIND_CALLBACK)
        return True

    def keep_artifacts(self, folder):
        """Moves what the job left for people to a folder of the job, or drops it
        where nobody is to see it. Returns whether there was any to keep. The
        common job leaves nothing and must not pay for a folder."""
        try:
            if not self.artifacts.used():
                return False
            import shutil

            if not folder:
                shutil.rmtree(self.artifacts.path)
            else:
                if os.path.lexists(folder):  # of a deleted job that had this id
                    shutil.rmtree(folder)
                os.makedirs(os.path.dirname(folder), 0o700, exist_ok=True)
                os.rename(self.artifacts.path, folder)
            os.mkdir(self.artifacts.path, 0o700)
            return bool(folder)
        except OSError as error:
            print("distro: files left in DISTRO_ARTIFACTS are lost: %s" % error, file=sys.__stderr__, flush=True)
            return False

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

    def answer(self, header, data=b"", kind=KIND_RESULT):
        try:
            if identity(self.writing) != self.channel:  # the job has closed it, and opened something else
                os._exit(72)
            write_frame(self.writing, kind, header, data)
        except OSError:
            os._exit(70)


def clean_environ():
    """Removes what the worker told this process and no job may see."""
    for name in [name for name in os.environ if name.startswith("DISTRO_")]:
        del os.environ[name]


def start_cold():
    """Serves one job in a fresh interpreter.

    Arguments: the job channel, modules_path, the working directory, folders for
    temporary files and for artifacts, more folders for sys.path. The channel is the number of a socket, or on
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
    sources.install(root, sys.argv[6:])
    for name in ("current", "sources"):
        sys.modules.pop(name)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", line_buffering=True)
    Runner(reading, writing, workdir, tmp, artifacts).serve()


if __name__ == "__main__":
    start_cold()
