"""The job that runs, as the user's own rq is to know it.

Nothing of rq or redis is imported here before the job does it, or names a
callback: most jobs never ask. What they may ask for is made when they do.
"""

import sys

from _thread import get_ident

# What rq keeps of the running job, each a stack of which it reads the top.
JOBS = ("rq.job", "_job_stack")
CONNECTIONS = ("rq.connections", "_connection_stack")  # rq 1.x


class Current:
    """Answers for the running job where rq looks: get_current_job() in the
    function, and in rq 1.x the connection to use where none is given. Other
    threads and greenlets see neither, as under rq's own worker."""

    def __init__(self):
        self.finder = Finder({JOBS[0]: self.hook_jobs, CONNECTIONS[0]: self.hook_connections})
        self.stacks = []
        self.client = None
        self.end()
        sys.meta_path.insert(0, self.finder)
        for name, hook in self.finder.hooks.items():
            if name in sys.modules:  # start-up code of this interpreter imports it
                hook(sys.modules[name])

    def begin(self, header, body):
        self.header = header
        self.body = body
        self.url = header.get("redis")

    def end(self):
        """Forgets the job, with everything that was made for it."""
        client = self.client
        self.header = self.body = self.url = self.client = self.job = None
        self.calling = False  # whether the function runs
        self.thread = get_ident()
        for stack in self.stacks:
            stack.__release_local__()
        if client is not None:
            client.connection_pool.disconnect()

    def hook_jobs(self, module):
        self.hook(module, JOBS[1], lambda: self.get() if self.calling else None)

    def hook_connections(self, module):
        self.hook(module, CONNECTIONS[1], self.connect)

    def hook(self, module, name, make):
        stack = getattr(module, name, None)
        if stack is None or any(stack is known for known in self.stacks):
            return

        class Stack(type(stack)):
            @property
            def top(this):
                found = super().top
                return make() if found is None and self.here() else found

        lazy = Stack()
        self.stacks.append(lazy)
        setattr(module, name, lazy)

    def here(self):
        """Reports whether the code that asks runs where the job does."""
        if self.url is None or get_ident() != self.thread:
            return False
        greenlet = sys.modules.get("greenlet")
        return greenlet is None or greenlet.getcurrent().parent is None

    def connect(self):
        """Returns a client of the Redis of the queue. It connects when it is used."""
        if self.client is None:
            from redis import Redis

            self.client = Redis.from_url(self.url)
        return self.client

    def get(self):
        """Returns rq's Job, as it stands in Redis when it is first asked for."""
        if self.job is None:
            from rq.exceptions import NoSuchJobError
            from rq.job import Job

            serializer = {"pickle": None, "json": "rq.serializers.JSONSerializer"}
            serializer = serializer.get(self.header["serializer"], self.header["serializer"])
            try:
                self.job = Job.fetch(self.header["id"], connection=self.connect(), serializer=serializer)
            except NoSuchJobError:  # deleted meanwhile
                self.job = Job(self.header["id"], connection=self.connect(), serializer=serializer)
                self.job.data = self.body
                self.job.origin = self.header["queue"]
        return self.job

    def ended(self, outcome, value=None):
        """Returns rq's Job as callbacks get it: with what is not in Redis yet."""
        import datetime

        job = self.get()
        if outcome is not None:
            job.ended_at = datetime.datetime.now(datetime.timezone.utc)
            if job.started_at is not None and job.started_at.tzinfo is None:  # rq 1.x
                job.ended_at = job.ended_at.replace(tzinfo=None)
            else:
                job._status = sys.modules["rq.job"].JobStatus(outcome)
            job._result = value
        return job


class Finder:
    """Calls hooks behind the imports of the modules they are named by."""

    def __init__(self, hooks):
        self.hooks = hooks

    def find_spec(self, fullname, path=None, target=None):
        hook = self.hooks.get(fullname)
        if hook is None:
            return None
        others = [finder.find_spec for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next(filter(None, (find(fullname, path, target) for find in others)), None)
        execute = getattr(spec and spec.loader, "exec_module", None)
        if execute is None:
            return spec

        def exec_module(module):
            execute(module)
            if module.__name__ == fullname:  # a loader may be one for many modules
                hook(module)

        spec.loader.exec_module = exec_module
        return spec
