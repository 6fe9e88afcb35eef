"""What a pooled process does between two jobs: it becomes what it was, or
says why it cannot."""

import _signal
import _thread
import io
import os
import resource
import sys

MAX_JOBS = 1000
MAX_GROWTH = 50 << 20


class State:
    """What a job may change in its process, as it is before the first one."""

    def __init__(self, runner):
        self.runner = runner
        self.page = resource.getpagesize()
        self.environ = dict(os.environ)
        self.encoded = None
        self.umask = os.umask(0o022)
        os.umask(self.umask)
        self.path = list(sys.path)
        self.argv = list(sys.argv)
        self.stdio = (sys.stdin, sys.stdout, sys.stderr)
        fixed = (_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGALRM)
        self.signals = [(n, _signal.getsignal(n)) for n in range(1, 32) if n not in fixed]
        self.inodes = [os.fstat(fd).st_ino for fd in (0, 1, 2)]
        self.size = self.resident()

    def set_environ(self, names):
        """Sets variables that stay until the next job sets them: what a job
        changes beside them is undone."""
        for name, value in names.items():
            if self.environ.get(name) != value:
                self.environ[name] = os.environ[name] = value
        self.encoded = dict(os.environ._data)

    def restore_environ(self):
        if os.environ._data == self.encoded:
            return
        for name in [name for name in os.environ if name not in self.environ]:
            del os.environ[name]
        os.environ.update(self.environ)

    def resident(self):
        with io.FileIO("/proc/self/statm") as file:
            return int(file.read().split()[1]) * self.page

    def restore(self, jobs, peak):
        """Returns why the process cannot serve another job, or None. Peak is
        the largest resident size so far, in bytes."""
        if _thread._count():
            return "threads left behind"
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return "children left behind"
        except ChildProcessError:
            pass
        if jobs >= MAX_JOBS:
            return "%d jobs" % MAX_JOBS
        if peak - self.size > MAX_GROWTH and self.resident() - self.size > MAX_GROWTH:
            return "grown by more than %d MB" % (MAX_GROWTH >> 20)
        return self.restore_stdio() or self.restore_rest()

    def restore_stdio(self):
        if (sys.stdin, sys.stdout, sys.stderr) != self.stdio:
            sys.stdin, sys.stdout, sys.stderr = self.stdio
        if sys.stdout.closed or sys.stderr.closed:
            return "output closed"
        if [os.fstat(fd).st_ino for fd in (0, 1, 2)] != self.inodes:
            return "output redirected"
        return None

    def restore_rest(self):
        self.restore_environ()
        os.umask(self.umask)
        if sys.path != self.path:
            sys.path[:] = self.path
        if sys.argv != self.argv:
            sys.argv[:] = self.argv
        for timer in (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF):
            _signal.setitimer(timer, 0)  # before its handler is put back
        getsignal = _signal.getsignal
        for number, handler in self.signals:
            if getsignal(number) is not handler:
                _signal.signal(number, handler)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        self.runner.fresh_main()
        if self.runner.tmp.used():
            import shutil

            shutil.rmtree(self.runner.tmp.path)
            os.mkdir(self.runner.tmp.path, 0o700)
        return None
