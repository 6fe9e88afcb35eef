"""Writes jobs that no producer would, in RQ's layout: data that cannot be read or
must not be, and texts that pages must show as they are. Prints the IDs as JSON."""

import datetime
import json
import os
import pickle
import sys
import zlib

import redis

connection = redis.Redis.from_url(os.environ["REDIS_URL"])

TEXTS = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "</textarea></pre></script><svg onload=alert(3)>",
    "';alert(4);//{{.}}${alert(4)}",
    "javascript:alert(5)",
    "\x1b[31mred\x1b[0m\x1b]8;;javascript:alert(6)\x07link\x1b]8;;\x07\x1b[2J",
    "a\u202egnp.exe\u2066b",
    "nul\x00nul\x7f\x08",
    "line\r\nline\u2028line\u0085line",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d" * 50,
    "W" * 100_000,
    "../../../etc/passwd?x=1#y%2e%2e%00",
]


class Run:
    """Unpickled, it would run a program."""

    def __reduce__(self):
        return os.system, ("touch " + sys.argv[1],)


def call(*args, **kwargs):
    return pickle.dumps(("fluxo.works", None, args, kwargs), 3)


def nested(depth):
    return b"\x80\x03" + b"(" * depth + b"t" * depth + b"."


def kinds():
    whole = zlib.compress(call("ACME", 1))
    endless = []
    endless.append(endless)
    yield "call", zlib.compress(call(*TEXTS[:6], **{TEXTS[0]: TEXTS[1]}))
    yield "not compressed", call("ACME")
    yield "cut", whole[: len(whole) // 2]
    yield "noise", os.urandom(4000)
    yield "empty", b""
    yield "bomb", zlib.compress(b"\0" * (64 << 20))
    yield "program", zlib.compress(call(Run()))
    yield "huge int", zlib.compress(call(1 << 4_000_000))
    yield "negative int", zlib.compress(call(-(10**5000)))
    yield "binary", zlib.compress(call(bytes(range(256)), bytearray(b"\xff" * 1000)))
    yield "5 MB", zlib.compress(call("<b>" + "x" * (5 << 20)))
    yield "deep", zlib.compress(nested(20_000))
    yield "endless", zlib.compress(call(endless))
    yield "JSON", zlib.compress(json.dumps(["fluxo.works", None, ["<script>alert(7)</script>"], {}]).encode())
    yield "deep JSON", zlib.compress(b'["f",null,[' + b"[" * 50_000 + b"]" * 50_000 + b"],{}]")
    yield "broken JSON", zlib.compress(b'["f", null, [NaN, 1e999, "\xff"]')
    yield "floats", zlib.compress(call(float("nan"), float("inf"), -0.0, 1e308))
    yield "keys", zlib.compress(call({(1, 2): {3}, None: b"", 1.5: ...}))
    yield "surrogates", zlib.compress(call("\ud800\udfff", "\udcff"))
    yield "many", zlib.compress(call(*range(100_000)))
    yield "a name that is none", zlib.compress(pickle.dumps((TEXTS[0] + ".\n f", None, (), {}), 3))
    yield "not a call", zlib.compress(pickle.dumps([1, 2, 3]))


def time(hours=0):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def name(n, text):
    """An ID of the job, every fourth one hostile itself."""
    return "job-%03d" % n + (text[:200].replace("\x00", "") if n % 4 == 0 else "")


def write(n, kind, data, text):
    status = ["queued", "failed", "finished", "scheduled", "canceled"][n % 5]
    queue = ["parada", "<i>fila</i> & \"x\"", "default"][n % 3]
    if status == "queued" and queue == "default":
        queue = "parada"  # what workers serve would not stay
    job, now = name(n, text), datetime.datetime.now().timestamp()
    fields = {
        "created_at": time(-1), "enqueued_at": time(-1), "started_at": time(-1), "ended_at": time(), "data": data, "origin": queue,
        "description": text, "status": status, "timeout": "180", "meta": pickle.dumps({"k": text}), "worker_name": text[:300],
        "exc_info": zlib.compress(("Traceback (most recent call last):\n  File \"%s\", line 1, in f\n    %s\nValueError: %s" % ((text[:2000],) * 3)).encode("utf-8", "replace")),
        "result": data[:1000],
    }
    fields = {k: v.encode("utf-8", "replace") if isinstance(v, str) else v for k, v in fields.items()}
    with connection.pipeline() as pipe:
        pipe.hset("rq:job:" + job, mapping=fields)
        pipe.sadd("rq:queues", "rq:queue:" + queue)
        if status == "queued":
            pipe.rpush("rq:queue:" + queue, job)
        else:
            pipe.zadd("rq:%s:%s" % (status, queue), {job: now + 3600})
        pipe.execute()
    return job


def worker(text):
    key = "rq:worker:" + text[:200]
    connection.hset(key, mapping={"birth": time(-1), "last_heartbeat": time(), "queues": "default," + text[:100], "state": "busy" + text[:50],
                                  "pid": text[:20], "hostname": text[:100], "version": text[:50], "python_version": text[:50], "current_job": text[:50]})
    connection.sadd("rq:workers", key)


all_kinds = list(kinds())
small_bomb = zlib.compress(b"\0" * (4 << 20))
ids = []
for n in range(int(sys.argv[2])):
    kind, data = all_kinds[n % len(all_kinds)]
    if kind == "bomb" and n >= len(all_kinds):
        data = small_bomb  # one large one is enough for two CPUs
    ids.append(write(n, kind, data, TEXTS[n % len(TEXTS)]))
for text in TEXTS[:5]:
    worker(text)
print(json.dumps(ids))
