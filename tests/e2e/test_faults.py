"""Each kind of fault as a plain socket sees it."""

import errno
import json

import pytest

from support.net import Connection, call, head, now, wait_until
from support.payload import blocks
from support.sidecar import applied, by_path, hits


def rule(faults, more=""):
    return f"""
[[rules]]
name = "it"
{more}
[[rules.faults]]
{faults}
"""


def read_until_end(connection):
    """All bytes till the connection ends; whether it ended by RST."""
    data = b""
    while True:
        try:
            piece = connection.receive()
        except OSError as error:
            assert error.errno == errno.ECONNRESET
            return data, "rst"
        if not piece:
            return data, "fin"
        data += piece


@pytest.mark.parametrize("how", ["rst", "fin"])
@pytest.mark.parametrize("protocol", ["http", "tcp"])
def test_disconnect_before_the_upstream(sidecar, upstream, how, protocol):
    it = sidecar(
        rule(f'disconnect = {{ at = "before-upstream", how = "{how}" }}'), upstream=upstream.port, protocol=protocol
    )
    try:
        with Connection(it.port) as connection:
            connection.send(head("GET", "/gone"))
            ended = read_until_end(connection)
    except ConnectionError:
        # On a byte stream the rule acts at once: its reset can meet us while we connect or send.
        ended = (b"", "rst")
    assert ended == (b"", how)
    assert upstream.requests("/gone") == []
    record = it.wait_decisions(1)[0]
    assert (record["origin"], record["outcome"]) == ("injected", "injected_fault")
    assert applied(record) == [("it", "disconnect")]


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_disconnect_after_so_many_bytes(sidecar, upstream, how):
    it = sidecar(rule(f'disconnect = {{ at = {{ byte = 1000 }}, how = "{how}" }}'), upstream=upstream.port)
    with Connection(it.port) as connection:
        connection.send(head("GET", "/bytes/100000"))
        data, ended = read_until_end(connection)
    assert ended == how
    got, body = data.split(b"\r\n\r\n", 1)
    assert b"Content-Length: 100000" in got
    # RST may overtake bytes that the client had not read yet; FIN may not.
    expected = next(blocks(1000))
    assert body == expected if how == "fin" else expected.startswith(body)


def test_abort_before_the_upstream_never_reaches_it(sidecar, upstream):
    it = sidecar(rule('abort = { at = "before-upstream", status = 503 }'), upstream=upstream.port)
    for _ in range(10):
        answer = it.call("POST", "/echo/before", body=b"{}")
        assert (answer.status, answer.origin) == (503, "injected")
    assert upstream.requests("/echo/before") == []


def test_abort_after_the_upstream_reaches_it_whole(sidecar, upstream):
    it = sidecar(rule('abort = { at = "after-upstream", status = 503 }'), upstream=upstream.port)
    for _ in range(10):
        answer = it.call("POST", "/echo/after", body=b"{}")
        assert (answer.status, answer.origin) == (503, "injected")

    # The client may hear from the sidecar before the upstream has noted that it is through.
    def seen():
        return [entry for entry in upstream.requests("/echo/after") if "done" in entry]

    wait_until(lambda: len(seen()) == 10, what="the upstream to be through with all")
    assert not any(entry["left"] for entry in seen())


def test_an_abort_leaves_no_body_bytes_to_be_read_as_a_request(sidecar, upstream):
    it = sidecar(rule("abort = { status = 503 }", 'select = { path = "/refused" }'), upstream=upstream.port)
    smuggled = head("GET", "/smuggled")
    with Connection(it.port) as connection:
        connection.send(head("POST", "/refused", body=smuggled) + smuggled)
        assert connection.read("POST").status == 503
        try:
            after = connection.request("GET", "/echo/next")
            assert json.loads(after.body)["target"] == "/echo/next"
        except OSError:
            pass  # closing is the other right answer
    assert upstream.requests("/smuggled") == []


def test_a_rule_touches_nothing_outside_its_selector(sidecar, upstream):
    it = sidecar(
        rule(
            "abort = { status = 503 }",
            'select = { method = "POST", path = "/echo/*/hurt", headers = { x-tenant = ["canary", "beta"] } }',
        ),
        upstream=upstream.port,
    )
    cases = [
        ("POST", "/echo/1/hurt", "canary", 503),
        ("POST", "/echo/2/hurt", "beta", 503),
        ("POST", "/echo/3/hurt", "other", 200),
        ("POST", "/echo/4/4/hurt", "canary", 200),
        ("GET", "/echo/5/hurt", "canary", 200),
        ("POST", "/echo/6/spared", "canary", 200),
        ("POST", "/echo/7/hurt", None, 200),
    ]
    for method, path, tenant, status in cases:
        fields = [("X-Tenant", tenant)] if tenant else []
        assert it.call(method, path, fields=fields, body=b"{}").status == status, path
    records = by_path(it.wait_decisions(len(cases)))
    for _, path, _, status in cases:
        assert hits(records[path]) == (["it"] if status == 503 else [])


def test_a_body_pointer_selects_and_the_body_passes_whole(sidecar, upstream):
    it = sidecar(
        rule("abort = { status = 503 }", 'select.body = { "/user/tier" = "free" }'), upstream=upstream.port
    )
    for tier, status in (("free", 503), ("paid", 200)):
        body = json.dumps({"user": {"name": "x" * 5000, "tier": tier}}).encode()
        answer = it.call("POST", f"/echo/{tier}", fields=[("Content-Type", "application/json")], body=body)
        assert answer.status == status
        if status == 200:
            assert json.loads(answer.body)["size"] == len(body)
    assert upstream.requests("/echo/free") == []


def test_nth_and_total(sidecar, upstream):
    it = sidecar(
        rule("abort = { status = 503 }", "nth = { every = 3 }\nlimits = { total = 2 }"), upstream=upstream.port
    )
    with Connection(it.port) as connection:
        statuses = [connection.request("GET", "/echo").status for _ in range(12)]
    assert statuses.count(503) == 2
    first = statuses.index(503)
    assert statuses.index(503, first + 1) - first == 3


def test_stall_stays_silent_and_open_for_its_time(sidecar, upstream):
    it = sidecar(rule('stall = { at = "response-head", for = "300ms" }'), upstream=upstream.port)
    start = now()
    answer = it.call(path="/echo")
    assert answer.status == 200
    assert answer.head_at - start >= 0.300


def test_a_stall_without_end_frees_the_call_when_the_client_leaves(sidecar, upstream):
    it = sidecar(rule('stall = { at = "response-head" }'), upstream=upstream.port)
    with Connection(it.port) as connection:
        connection.send(head("GET", "/echo/stalled"))
        wait_until(lambda: upstream.requests("/echo/stalled"), what="the call upstream")
    record = it.wait_decisions(1)[0]
    assert record["outcome"] == "client_abort"


def test_throttle_keeps_to_its_rate(sidecar, upstream):
    it = sidecar(rule('throttle = { bytes_per_second = "1MiB", burst = "64KiB" }'), upstream=upstream.port)
    start = now()
    answer = it.call(path="/bytes/589824")
    assert answer.body == next(blocks(589824))
    assert answer.ended_at - start >= 0.5  # (576 - 64) KiB at 1 MiB/s


def test_truncate_keeps_or_corrects_the_length(sidecar, upstream):
    keep = sidecar(rule("truncate = { at = { byte = 500 } }"), upstream=upstream.port)
    answer = keep.call(path="/bytes/2000")
    assert answer.header("content-length") == "2000"
    assert not answer.complete
    assert answer.body == next(blocks(500))
    fix = sidecar(rule('truncate = { at = { byte = 500 }, length = "fix" }'), upstream=upstream.port)
    for path in ("/bytes/2000", "/chunked/2000"):
        answer = fix.call(path=path)
        assert answer.complete
        assert answer.body == next(blocks(500))


def test_corrupt_flips_so_many_bits_and_keeps_the_length(sidecar, upstream):
    it = sidecar(rule("corrupt = { bit_flip = { count = 5 } }"), upstream=upstream.port)
    answer = it.call(path="/bytes/10000")
    assert answer.complete
    truth = next(blocks(10000))
    assert len(answer.body) == len(truth)
    flipped = sum((a ^ b).bit_count() for a, b in zip(answer.body, truth, strict=True))
    assert flipped == 5
    it.stop()
    # The same seed and number damage the same bits.
    again = sidecar(rule("corrupt = { bit_flip = { count = 5 } }"), upstream=upstream.port)
    assert again.call(path="/bytes/10000").body == answer.body


def test_dry_run_decides_and_touches_nothing(sidecar, upstream):
    it = sidecar(rule("abort = { status = 503 }", "dry_run = true"), upstream=upstream.port)
    assert it.call(path="/echo").status == 200
    rule_line = it.wait_decisions(1)[0]["rules"][0]
    assert (rule_line["verdict"], rule_line["denied"]) == ("denied", "dry_run")


def test_two_rules_compose(sidecar, upstream):
    """Waits first, then the first terminal effect; what comes after it is superseded."""
    it = sidecar(
        """
[[rules]]
name = "refuse"
[[rules.faults]]
abort = { status = 503 }
[[rules]]
name = "wait"
[[rules.faults]]
delay = { fixed = "50ms" }
[[rules]]
name = "refuse-too"
[[rules.faults]]
abort = { status = 500 }
""",
        upstream=upstream.port,
    )
    start = now()
    answer = it.call(path="/echo")
    assert answer.status == 503
    assert answer.head_at - start >= 0.050
    fates = {effect["rule"]: effect["fate"] for effect in it.wait_decisions(1)[0]["effects"]}
    assert fates == {"refuse": "applied", "wait": "applied", "refuse-too": "superseded"}


def test_routes_choose_upstream_and_protocol(sidecar, upstream, mlserver):
    it = sidecar(
        rule("abort = { status = 503 }", 'select = { operation = "infer" }'),
        upstream=upstream.port,
        protocol="openai",
        top=f'[upstreams.kserve]\nendpoints = ["http://127.0.0.1:{mlserver}"]\n',
        listener_keys='routes = [{ path = "/v2/**", upstream = "kserve", protocol = "open-inference" }]',
    )
    assert it.call(path="/v2/models/digits").status == 200
    assert it.call("POST", "/v2/models/digits/infer", body=b"{}").status == 503
    assert it.call(path="/echo/other").status == 200
    assert len(upstream.requests()) == 1
    assert call(mlserver, path="/v2/health/live").status == 200
