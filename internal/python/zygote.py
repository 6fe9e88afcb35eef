"""A small single-threaded process that forks the processes of jobs.

It runs as zygote.py ROOT WORKDIR [PATH...] with its control socket as
descriptor 3; docs/python-protocol.md specifies the messages. It imports
nothing of the user's. When the control socket ends it kills every job, with
whatever the jobs have started, and exits.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)  # where PYTHONSAFEPATH keeps it out

import ctypes
import gc
import io
import json
import select
import struct

import _signal
import _socket

import pooled
import runner
import sources

CONTROL = 3
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SEND_FLAGS = _socket.MSG_NOSIGNAL
RETRY_MS = 200
IGNORED = (_signal.SIGTERM, _signal.SIGHUP, _signal.SIGINT)


class Zygote:
    def __init__(self, root, workdir, more):
        self.root = root
        self.workdir = workdir
        self.more = more  # folders for sys.path
        self.control = _socket.socket(fileno=CONTROL)
        self.libc = ctypes.CDLL(None)
        self.pid = os.getpid()
        self.jobs = set()  # processes forked here and not reaped
        self.ended = []  # reaped, and not yet announced
        self.owed = []  # (mode, scratch) of processes that could not be forked yet
        self.null = os.open(os.devnull, os.O_RDONLY)

    def run(self):
        self.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        wake, woken = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(woken, False)
        _signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        for number in IGNORED:  # the worker says when to end
            _signal.signal(number, _signal.SIG_IGN)
        threads = len(os.listdir("/proc/self/task"))
        self.send({"ready": self.pid, "threads": threads})
        poll = select.poll()
        poll.register(CONTROL, select.POLLIN)
        poll.register(wake, select.POLLIN)
        gc.collect()
        gc.freeze()
        gc.disable()
        while True:
            for fd, _ in poll.poll(RETRY_MS if self.owed else None):
                if fd == wake:
                    self.drain(wake)
                elif not self.receive():
                    self.end()
            self.reap()
            self.pay()

    def drain(self, fd):
        try:
            while os.read(fd, 4096):
                pass
        except BlockingIOError:
            pass

    def send(self, message, fds=()):
        ancillary = []
        if fds:
            ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("%di" % len(fds), *fds))]
        try:
            self.control.sendmsg([json.dumps(message).encode()], ancillary, SEND_FLAGS)
        except OSError:
            self.end()

    def receive(self):
        """Handles one message. Returns False when the worker has gone."""
        try:
            data = self.control.recv(1 << 17)
        except OSError:
            return False
        if not data:
            return False
        message = json.loads(data)
        for scratch in message.get("fork", ()):
            self.owed.append((message["mode"], scratch))
        if "signal" in message and message["pid"] in self.jobs:
            self.kill(message["pid"], message["signal"])
        for path in message.get("compile", ()):
            sources.Loader.compiled.remember(path)
            gc.freeze()
        return True

    def kill(self, pid, number):
        """Signals the process group of a job; the job itself too where that is
        not its group any more, or where nothing may be missed."""
        try:
            os.killpg(pid, number)
            if number != _signal.SIGKILL:
                return
        except OSError:
            pass
        try:
            os.kill(pid, number)
        except OSError:
            pass

    def pay(self):
        """Forks what is owed. Where the system lets it not, the jobs that run
        go on, and it is tried again."""
        while self.owed:
            opened = []
            try:
                self.fork(*self.owed[0], opened)
            except OSError:
                return
            finally:
                for fd in opened:
                    os.close(fd)
            del self.owed[0]

    def fork(self, mode, scratch, opened):
        """Forks a process that waits for a job, and announces it with its
        job socket and the reading ends of its output. Descriptors that are to
        be closed afterwards are added to opened."""
        pair = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        ours, theirs = [end.detach() for end in pair]
        opened += (ours, theirs)
        out, out_child = os.pipe()
        opened += (out, out_child)
        err, err_child = os.pipe()
        opened += (err, err_child)
        pid = os.fork()
        if pid == 0:
            try:
                self.child(mode, theirs, out_child, err_child, scratch)
            finally:
                os._exit(71)
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass
        self.jobs.add(pid)
        self.send({"standby": pid, "scratch": scratch}, (ours, out, err))

    def child(self, mode, job, out, err, scratch):
        os.setpgid(0, 0)
        self.libc.prctl(PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self.pid:
            os._exit(0)
        self.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        for number in IGNORED:
            _signal.signal(number, _signal.default_int_handler if number == _signal.SIGINT else _signal.SIG_DFL)
        job = os.dup2(job, 64, inheritable=False)
        os.dup2(self.null, 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        self.control.detach()
        os.dup2(job, CONTROL, inheritable=mode == "spawn")
        for name in os.listdir("/proc/self/fd"):
            if int(name) > CONTROL:
                try:
                    os.close(int(name))
                except OSError:
                    pass
        if mode == "spawn":
            script = os.path.join(HERE, "runner.py")
            arguments = [str(CONTROL), self.root, self.workdir, scratch["tmp"], scratch["artifacts"]]
            os.execv(sys.executable, [sys.executable, "-X", "utf8", script] + arguments + self.more)
        runner.clean_environ()
        runner.Runner(CONTROL, CONTROL, self.workdir, scratch["tmp"], scratch["artifacts"], pooled.State if mode == "pool" else None).serve()

    def reap(self):
        """Reaps what ended and kills what ended jobs left behind.

        Jobs are subreapers, so a child that was not forked here was left by a
        job that is over. Ends are announced when nothing of that kind lives.
        """
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self.jobs:
                self.jobs.discard(pid)
                cpu = usage.ru_utime + usage.ru_stime
                self.ended.append({"exit": pid, "status": status, "maxrss": usage.ru_maxrss, "cpu": cpu})
        if self.ended and not self.kill_strangers():
            ended, self.ended = self.ended, []
            for message in ended:
                self.send(message)

    def kill_strangers(self):
        """Kills children that were not forked here; returns how many live."""
        with io.FileIO("/proc/self/task/%d/children" % self.pid) as file:
            strangers = [pid for pid in map(int, file.readall().split()) if pid not in self.jobs]
        living = 0
        for pid in strangers:
            try:
                os.kill(pid, _signal.SIGKILL)
                living += 1
            except PermissionError:
                pass  # it runs as another user: nobody here can end it
        return living

    def end(self):
        """Kills everything below this process, waits for it, and exits."""
        for pid in self.jobs:
            self.kill(pid, _signal.SIGKILL)
        try:
            while True:
                self.jobs.discard(os.waitpid(-1, 0)[0])
                self.kill_strangers()
        except ChildProcessError:
            os._exit(0)


def main():
    root, workdir, *more = sys.argv[1:]
    sys.path[:] = [path for path in sys.path if path != HERE]
    os.chdir(workdir)
    for name in ("runner", "current", "sources", "pooled"):
        sys.modules.pop(name, None)
    sources.install(root, more)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", line_buffering=True)
    Zygote(root, workdir, more).run()


main()
