"""What a producer does with RQ: it enqueues every kind of job, waits, and reads
all that RQ tells about a job and a worker afterwards."""

import datetime
import json
import os
import re
import sys
import time
import zlib

import redis
import rq
import rq.command
import rq.suspension
from rq.exceptions import NoSuchJobError
from rq.job import Dependency, Job
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.serializers import DefaultSerializer, JSONSerializer
from rq.worker import Worker

import jobs

connection = redis.Redis.from_url(os.environ["REDIS_URL"])
REGISTRIES = [
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
]
FIELDS = """created_at data origin description enqueued_at started_at ended_at last_heartbeat worker_name status timeout
result_ttl failure_ttl ttl meta success_callback_name failure_callback_name stopped_callback_name
success_callback_timeout failure_callback_timeout stopped_callback_timeout dependency_id dependency_ids
allow_dependency_failures enqueue_at_front retries_left retry_intervals number_of_retries enqueue_at_front_on_retry
repeats_left repeat_intervals group_id webhooks result exc_info""".split()


def enqueue_all():
    q = rq.Queue("default", connection=connection)

    def put(job_id, function, *args, **kwargs):
        return q.enqueue(function, *args, job_id=job_id, **kwargs)

    put("plain", jobs.add, 1, 2)
    put("keyword", jobs.add, a=1, b=2)
    put("named", "jobs.add", 3, b=4)
    put("nothing", jobs.nothing)
    put("object", jobs.an_object)
    put("static", "jobs.Numbers.static", 1)
    put("class", jobs.Numbers.by_class, 21)
    put("instance", jobs.Numbers(5).by_instance, 3)
    put("callable", jobs.Numbers(5), 3)
    put("coroutine", jobs.coroutine, 14)
    put("builtin", "builtins.len", "four")
    put("large", jobs.large, "x" * 1_000_000)
    put("meta", jobs.saves_meta, meta={"progress": 25, "owner": "ana"})
    put("itself", jobs.describes_itself, "peer", job_timeout=77, description="describes itself")
    put("enqueues", jobs.enqueues, "enqueued-by-job")
    put("prints", jobs.prints)
    put("raises", jobs.raises)
    put("timeout", jobs.runs_long, job_timeout=1)
    put("timeout-swallowed", jobs.swallows_the_timeout, job_timeout=1)
    put("exits", jobs.exits)
    put("exits-3", jobs.exits_at_once, 3)
    put("killed", jobs.is_killed)
    put("result-ttl-0", jobs.nothing, result_ttl=0)
    put("result-ttl-forever", jobs.add, 1, result_ttl=-1)
    put("result-ttl", jobs.add, 1, result_ttl=2500)
    put("failure-ttl-forever", jobs.raises, failure_ttl=-1)
    put("failure-ttl", jobs.raises, failure_ttl=2500)
    put("ttl", jobs.add, 1, ttl=1000)
    put("success-callback", jobs.add, 1, on_success=jobs.on_success, on_failure=jobs.on_failure, meta={"m": 1})
    put("failure-callback", jobs.raises, on_success=jobs.on_success, on_failure=jobs.on_failure)
    put("timeout-callback", jobs.runs_long, job_timeout=1, on_failure=jobs.on_failure)
    put("broken-success-callback", jobs.nothing, on_success=jobs.broken_on_success, on_failure=jobs.on_failure)
    put("broken-failure-callback", jobs.raises, on_failure=jobs.broken_on_failure)
    put("retries", jobs.fails_until, 3, retry=rq.Retry(max=2))
    put("retries-in-vain", jobs.fails_until, 9, retry=rq.Retry(max=2), on_failure=jobs.on_failure)
    put("retries-killed", jobs.is_killed, retry=rq.Retry(max=1))
    put("no-module", "no_such_module.function")
    put("no-function", "jobs.no_such_function")
    put("no-argument", jobs.add)
    put("undecodable", jobs.nothing)
    connection.hset("rq:job:undecodable", "data", zlib.compress(b"\x80\x04broken"))
    put("not-compressed", jobs.add, 8)
    connection.hset("rq:job:not-compressed", "data", zlib.decompress(connection.hget("rq:job:not-compressed", "data")))
    parent = put("parent", jobs.add, 1)
    child = put("child", jobs.add, 2, depends_on=parent)
    put("grandchild", jobs.add, 3, depends_on=[child, parent])
    bad = put("bad-parent", jobs.raises)
    put("child-of-bad", jobs.add, 4, depends_on=bad)
    put("tolerant-child", jobs.add, 5, depends_on=Dependency(jobs=[bad], allow_failure=True))
    put("child-in-front", jobs.add, 6, depends_on=Dependency(jobs=[bad], allow_failure=True, enqueue_at_front=True))
    rq.Queue("low", connection=connection).enqueue(jobs.add, 1, 1, job_id="low")
    put("in-front", jobs.add, 7, at_front=True)
    put("canceled", jobs.nothing)
    put("child-of-canceled", jobs.nothing, depends_on="canceled")
    Job.fetch("canceled", connection=connection).cancel()
    put("deleted", jobs.nothing)
    Job.fetch("deleted", connection=connection).delete()
    connection.hset("rq:job:plain", "somebody", "else's field")
    connection.rpush("rq:queue:default", "without-hash")


def enqueue_timed():
    q = rq.Queue("default", connection=connection)
    now = datetime.datetime.now(datetime.timezone.utc)
    due = {"due": now.timestamp() + 1}
    q.enqueue_in(datetime.timedelta(seconds=1), jobs.add, 1, job_id="in", meta=due)
    q.enqueue_at(now + datetime.timedelta(seconds=1), jobs.add, 2, job_id="at", meta=due, ttl=1000)
    q.enqueue_in(datetime.timedelta(hours=1), jobs.add, 3, job_id="later")
    q.enqueue(jobs.fails_until, 3, job_id="retried", retry=rq.Retry(max=3, interval=[2, 1, 60]))
    q.enqueue(jobs.fails_until, 9, job_id="retried-in-vain", retry=rq.Retry(max=2, interval=1))


def enqueue_json():
    q = rq.Queue("default", connection=connection, serializer=JSONSerializer)
    q.enqueue("jobs.add", 1, b=2, job_id="plain", meta={"owner": "ana"})
    q.enqueue("jobs.nothing", job_id="nothing")
    q.enqueue("jobs.saves_meta", job_id="meta", meta={"progress": 25})
    q.enqueue("jobs.echo", [1, None, {"a": "\u2603"}], k=1.5, job_id="echo")
    q.enqueue("jobs.Numbers.static", 1, job_id="static")
    q.enqueue("jobs.raises", job_id="raises")
    q.enqueue("jobs.fails_until", 2, job_id="retries", retry=rq.Retry(max=2))
    q.enqueue("jobs.add", 1, job_id="child", depends_on="retries")
    rq.Queue("default", connection=connection).enqueue(jobs.nothing, job_id="pickled")


def enqueue_odd():
    """Jobs that newer versions of RQ end better than this one."""
    q = rq.Queue("default", connection=connection)
    q.enqueue(jobs.unpicklable, job_id="unpicklable")
    q.enqueue(jobs.exits_at_once, 0, job_id="exits-0")
    q.enqueue(jobs.nothing, job_id="last")


def enqueue_files(count, path):
    enqueue_appends(path, *(f"job-{n}" for n in range(int(count))))


def enqueue_appends(path, *ids):
    q = rq.Queue("default", connection=connection)
    q.enqueue_many([rq.Queue.prepare_data("files.appends", (path,), job_id=i) for i in ids])


def enqueue_killing():
    """Quick jobs, so that the worker takes ahead, one that kills it, and those it took with that one."""
    q = rq.Queue("default", connection=connection)
    ids = [f"before-{n}" for n in range(20)] + ["kills"] + [f"after-{n}" for n in range(20)]
    prepared = [rq.Queue.prepare_data(jobs.nothing, job_id=i, retry=rq.Retry(max=3)) for i in ids]
    prepared[20] = rq.Queue.prepare_data(jobs.kills_its_worker, job_id="kills")
    q.enqueue_many(prepared)


def enqueue(queue, job_id, function, *args):
    rq.Queue(queue, connection=connection).enqueue(getattr(jobs, function), *args, job_id=job_id)


def await_ended(*ids):
    deadline = time.monotonic() + 240
    waiting = set(ids)
    while waiting:
        waiting -= {i for i in waiting if connection.hget("rq:job:" + i, "status") in (b"finished", b"failed", b"stopped")}
        if time.monotonic() > deadline:
            sys.exit(f"still not ended: {sorted(waiting)}")
        time.sleep(0.02)


def coarse(seconds):
    """A time to live, to within two minutes."""
    if seconds in (-1, -2, float("inf")):
        return str(seconds)
    return round(seconds / 250) * 250


def gist(text):
    """What a traceback says but for the frames of RQ."""
    if not text:
        return text
    found, lines = [], text.split("\n")
    for n, line in enumerate(lines):
        if re.search(r'File ".*\bjobs\.py"', line):
            found += [re.sub(r'File ".*/', 'File "', line), lines[n + 1]]
        elif line and not line.startswith(" "):
            found.append(line)
    return found


def times(job):
    """Those that are set, in their order."""
    found = {n: getattr(job, n) for n in ("created_at", "enqueued_at", "started_at", "ended_at")}
    found = {n: t for n, t in found.items() if t is not None}
    return sorted(found, key=lambda n: (found[n], list(found).index(n)))


def registries(job_id, origins):
    found = {}
    now = time.time()
    for origin in origins:
        for kind in REGISTRIES:
            registry = kind(origin, connection=connection)
            score = connection.zscore(registry.key, job_id)
            if score is not None:
                found[registry.key] = coarse(score if score < 0 else score - now)
        if connection.lpos(f"rq:queue:{origin}", job_id) is not None:
            found[origin] = "waiting"
    return found


def view(job_id, worker, serializer):
    found = {"registries": registries(job_id, ["default", "low"])}
    try:
        job = Job.fetch(job_id, connection=connection, serializer=serializer)
    except NoSuchJobError:
        return {**found, "gone": True}
    raw = connection.hgetall(job.key)
    for name in ("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat"):
        text = raw.get(name.encode(), b"").decode()
        if text and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text):
            sys.exit(f"{job_id}: {name} is {text!r}")
    due = job.meta.get("due")
    return {
        **found,
        "status": job.get_status(),
        "result": repr(job.return_value())[:200],
        "exc_info": gist(job.exc_info),
        "meta": {k: v for k, v in job.get_meta().items() if k != "due"},
        "early": due is not None and job.started_at.replace(tzinfo=datetime.timezone.utc).timestamp() < int(due),
        "results": [[r.type.name, repr(r.return_value)[:200], gist(r.exc_string)] for r in job.results()],
        "result ttl": coarse(connection.ttl("rq:results:" + job_id)),
        "ttl": coarse(connection.ttl(job.key)),
        "times": times(job),
        "heartbeat": job.last_heartbeat is not None,
        "worker": worker if job.worker_name == worker else repr(job.worker_name),
        "retries_left": job.retries_left,
        "timeout": job.timeout,
        "description": job.description,
        "dependents": sorted(job.dependent_ids),
        "strange fields": [f for f in map(bytes.decode, raw) if f not in FIELDS and not f.startswith("distro_")],
    }


def worker_view(name):
    w = Worker.find_by_key("rq:worker:" + name, connection=connection)
    raw = {k.decode(): v.decode() for k, v in connection.hgetall("rq:worker:" + name).items()}
    return {
        "queues": w.queue_names(),
        "successful": w.successful_job_count,
        "failed": w.failed_job_count,
        "worked": w.total_working_time > 0,
        "current job": w.get_current_job_id(),
        "fields": sorted(f for f in raw if not f.startswith("distro_")),
        "ttl": 0 < connection.ttl("rq:worker:" + name) <= 60,
        "listed": [k for k in connection.keys("rq:workers*") if connection.sismember(k, "rq:worker:" + name)],
    }


def views(worker, *ids):
    return {i: view(i, worker, DefaultSerializer) for i in ids}


def workers_of(count):
    """How many of the jobs of enqueue_files each worker finished."""
    found = {}
    for n in range(int(count)):
        status, worker = connection.hmget(f"rq:job:job-{n}", "status", "worker_name")
        who = worker.decode() if status == b"finished" else f"{n} is {status}"
        found[who] = found.get(who, 0) + 1
    return found


def command(name, *args):
    getattr(rq.command, name)(connection, *args)


def suspend():
    rq.suspension.suspend(connection)


def resume():
    rq.suspension.resume(connection)


def strange_keys():
    return [k.decode() for k in connection.keys("*") if not k.startswith((b"rq:", b"distro:", b"test:"))]


def report(worker, serializer, *ids):
    """All there is to know about jobs and the worker that ran them."""
    ids = ids or [k.decode()[len("rq:job:") :] for k in connection.keys("rq:job:*") if b":" not in k[len("rq:job:") :]]
    by_name = {"pickle": DefaultSerializer, "json": JSONSerializer}
    return {
        "jobs": {i: view(i, worker, by_name[serializer]) for i in [*ids, "deleted", "result-ttl-0", "without-hash"]},
        "worker": worker_view(worker),
        "order": [i.decode() for i in connection.lrange("test:order", 0, -1)],
        "callbacks": [i.decode() for i in connection.lrange("test:callbacks", 0, -1)],
        "cleanups": [i.decode() for i in connection.lrange("test:cleanups", 0, -1)],
        "strange keys": strange_keys(),
        "queues": sorted(q.name for q in rq.Queue.all(connection=connection)),
    }


if __name__ == "__main__":
    value = globals()[sys.argv[1]](*sys.argv[2:])
    if value is not None:
        print(json.dumps(value, default=repr))
