"""redis-py against holdfastd."""

import os
import subprocess
import sys
import time
import traceback

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

WAIT_S = 30
client = redis.Redis(
    port=int(os.environ["HOLDFASTD_PORT"]),
    ssl="HOLDFASTD_CA" in os.environ,
    ssl_ca_certs=os.environ.get("HOLDFASTD_CA"),
    socket_timeout=WAIT_S,
    retry=Retry(ConstantBackoff(0.05), 20),
    retry_on_error=[redis.ConnectionError],
)
subscriber = client.pubsub(ignore_subscribe_messages=True)


def world(verb):
    """redis-stop, redis-start or sidecar-restart; see the program `run`."""
    with open(os.environ["WORLD_ASK"], "w") as ask:
        ask.write(verb + "\n")
    with open(os.environ["WORLD_ANSWER"]) as answer:
        answer.readline()


def behind(*words):
    """What the Redis behind says, asked without holdfastd."""
    command = ["redis-cli", "-s", os.environ["REDIS_SOCKET"], "--raw", *words]
    return subprocess.run(command, stdout=subprocess.PIPE, timeout=WAIT_S, check=True).stdout.decode().removesuffix("\n")


def until(look, expected):
    end = time.monotonic() + WAIT_S
    while (found := look()) != expected:
        assert time.monotonic() < end, f"it was {found!r} after {WAIT_S} s, expected {expected!r}"
        time.sleep(0.02)


def next_message():
    """The next one within a moment. A lost connection is told of once; the next call connects and subscribes again."""
    try:
        return subscriber.get_message(timeout=0.2)
    except redis.ConnectionError:
        return None


def hears(message):
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        got = next_message()
        if got and (got["channel"], got["data"]) == (b"news", message):
            return
    raise AssertionError(f"{message!r} did not come within {WAIT_S} s")


def connect():
    assert client.ping()
    assert client.info()["redis_version"].startswith("7")
    assert client.set("bytes", b"\0\xff\r\n\0")
    assert client.get("bytes") == b"\0\xff\r\n\0"
    assert client.get("nothing") is None


def pipeline():
    pipe = client.pipeline(transaction=False)
    for i in range(1000):
        pipe.set(f"p:{i}", i).get(f"p:{i}")
    replies = pipe.execute()
    assert replies == [reply for i in range(1000) for reply in (True, b"%d" % i)]
    assert behind("get", "p:999") == "999"


def transaction():
    pipe = client.pipeline().set("t", 1).incr("t").hset("hash", "field", "value").get("t")
    assert pipe.execute() == [True, 2, 1, b"2"]
    with client.pipeline() as pipe:
        pipe.watch("t")
        behind("set", "t", "7")
        pipe.multi()
        pipe.set("t", 8)
        try:
            pipe.execute()
            raise AssertionError("a transaction was run although a watched key had changed")
        except redis.WatchError:
            pass
    assert behind("get", "t") == "7"
    behind("set", "limit", "41")
    assert client.pipeline().incr("limit").expire("limit", 100).execute() == [42, True]
    assert behind("ttl", "limit") == "100"


def walk():
    behind("hset", "walk:theirs", "field", "value")
    behind("set", "walk:text", "x")
    client.set("walk:ours", "x")
    assert sorted(client.scan_iter("walk:*")) == [b"walk:ours", b"walk:text", b"walk:theirs"]
    assert sorted(client.keys("walk:*")) == [b"walk:ours", b"walk:text", b"walk:theirs"]
    assert list(client.scan_iter("walk:*", _type="hash")) == [b"walk:theirs"]
    assert not [key for key in client.scan_iter() if key.startswith(b"_hf:")]


def expiry():
    client.set("short", "x", px=150)
    client.set("long", "x", ex=100)
    assert 0 < client.pttl("long") <= 100000
    until(lambda: client.get("short"), None)
    assert client.persist("long")
    assert client.ttl("long") == -1


def subscribe():
    subscriber.subscribe("news")
    until(lambda: next_message() or client.pubsub_numsub("news"), [(b"news", 1)])
    client.publish("news", "from here")
    hears(b"from here")
    behind("publish", "news", "from there")
    hears(b"from there")


def reconnect():
    world("sidecar-restart")
    assert client.get("p:999") == b"999"
    until(lambda: next_message() or client.pubsub_numsub("news"), [(b"news", 1)])
    client.publish("news", "again")
    hears(b"again")


def is_refused():
    try:
        client.hget("hash", "field")
        return False
    except redis.ResponseError as error:
        return str(error).startswith("OFFLINE")


def field():
    return None if is_refused() else client.hget("hash", "field")


def outage():
    assert client.incrby("counter", 3) == 3
    world("redis-stop")
    assert client.set("offline", "written")
    assert client.get("offline") == b"written"
    assert client.incrby("counter", 2) == 5
    assert client.delete("p:1") == 1
    assert client.pipeline().set("a", 1).set("b", 2).execute() == [True, True]
    assert client.pipeline().incr("limit").expire("limit", 100).execute() == [43, True]
    assert list(client.scan_iter("walk:ours")) == [b"walk:ours"]
    assert is_refused()
    client.publish("news", "offline")
    hears(b"offline")
    world("redis-start")
    until(lambda: behind("mget", "offline", "counter", "p:1", "a", "b", "limit"), "written\n5\n\n1\n2\n43")
    until(field, b"value")


for check in (connect, pipeline, transaction, walk, expiry, subscribe, reconnect, outage):
    try:
        check()
    except Exception:
        print(f"FAILED {check.__name__}: {traceback.format_exc()}")
        sys.exit(1)
    print(f"ok {check.__name__}")
