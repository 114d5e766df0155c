"""Redis 7 with redis-py and redis-benchmark, carried as plain TCP: a call is a connection."""

import hashlib
import random

import pytest
import redis

from support.net import HOST, Connection, now
from support.sidecar import applied, hits


def client(port, **options):
    return redis.Redis(host=HOST, port=port, socket_timeout=20, retry=None, **options)


def test_commands_and_binary_values_pass_unchanged(sidecar, redis_port):
    it = sidecar(upstream=redis_port, protocol="tcp")
    through, direct = client(it.port), client(redis_port)
    value = bytes(range(256)) * 16 + random.Random(7).randbytes(3_000_000)
    assert through.set("blob", value)
    assert hashlib.sha256(direct.get("blob")).digest() == hashlib.sha256(value).digest()
    assert through.get("blob") == value
    with through.pipeline(transaction=True) as pipe:
        for index in range(500):
            pipe.hset("features", f"driver:{index}", index / 7)
        assert pipe.execute() == [1] * 500
    assert through.hlen("features") == 500
    listener = through.pubsub()
    listener.subscribe("news")
    assert listener.get_message(timeout=5)["type"] == "subscribe"
    direct.publish("news", "hello")
    assert listener.get_message(timeout=5)["data"] == b"hello"


def test_redis_benchmark_runs_through(sidecar, redis_port, run_tool):
    it = sidecar(upstream=redis_port, protocol="tcp", workers=2)
    out = run_tool(
        "redis-benchmark", "-h", HOST, "-p", it.port, "-n", 20_000, "-c", 50, "-P", 4, "-t", "set,get,lrange_100", "--csv"
    )
    rows = [line for line in out.splitlines() if line.startswith('"') and "rps" not in line]
    assert any(row.startswith('"SET"') for row in rows)
    assert any("LRANGE_100" in row for row in rows)


def test_a_delay_holds_the_connection_back_and_nothing_later(sidecar, redis_port):
    it = sidecar(
        """
[[rules]]
name = "slow-connect"
[[rules.faults]]
delay = { fixed = "200ms" }
""",
        upstream=redis_port,
        protocol="tcp",
    )
    connection = client(it.port)
    start = now()
    assert connection.ping()
    assert now() - start >= 0.200
    start = now()
    for _ in range(20):
        connection.ping()
    assert now() - start < 20 * 0.200
    connection.close()
    record = it.wait_decisions(1)[0]
    assert applied(record) == [("slow-connect", "delay")]
    assert record["protocol"] == "tcp"


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_disconnect_ends_the_connection(sidecar, redis_port, how):
    it = sidecar(
        f"""
[[rules]]
name = "cut"
[[rules.faults]]
disconnect = {{ at = {{ byte = 1000 }}, how = "{how}" }}
""",
        upstream=redis_port,
        protocol="tcp",
    )
    client(redis_port).set("long", b"x" * 100_000)
    connection = client(it.port, single_connection_client=True)
    with pytest.raises(redis.ConnectionError) as raised:
        connection.get("long")
    if how == "rst":
        assert "reset" in str(raised.value).lower()
    record = it.wait_decisions(1)[0]
    assert (record["origin"], record["outcome"]) == ("injected", "injected_fault")
    assert hits(record) == ["cut"]


def test_truncate_cuts_the_answer_at_its_byte(sidecar, redis_port):
    it = sidecar(
        """
[[rules]]
name = "short"
[[rules.faults]]
truncate = { at = { byte = 4096 } }
""",
        upstream=redis_port,
        protocol="tcp",
    )
    client(redis_port).set("long", b"y" * 100_000)
    with Connection(it.port) as connection:
        connection.send(b"*2\r\n$3\r\nGET\r\n$4\r\nlong\r\n")
        got = b""
        while data := connection.receive():
            got += data
    assert got == (b"$100000\r\n" + b"y" * 100_000)[:4096]
