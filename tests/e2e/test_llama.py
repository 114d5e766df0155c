"""llama.cpp's server, the official OpenAI client, and the sidecar between them."""

import json

import openai
import pytest

from support import chat
from support.net import Connection, wait_until
from support.sidecar import applied, hits
from support.tee import Tee

NOT_THIS = """
[[rules]]
name = "another-model"
select = { model = "not-this-one" }
probability = 1.0
[[rules.faults]]
abort = { error = "overloaded" }
"""


@pytest.fixture
def tee(llama):
    it = Tee(llama)
    yield it
    it.close()


def unframed(stream: bytes):
    """Head and body of one chunked answer as it stood on the wire."""
    head, rest = bytes(stream).split(b"\r\n\r\n", 1)
    body = b""
    while rest:
        size, rest = rest.split(b"\r\n", 1)
        size = int(size, 16)
        body += rest[:size]
        rest = rest[size + 2 :]
        if not size:
            break
    return head, body


HOP = (b"connection", b"keep-alive", b"transfer-encoding")


def end_to_end(head: bytes):
    """The lines of a head that a proxy may not touch, in order, names as written."""
    lines = head.split(b"\r\n")
    return [line for line in lines if line.split(b":")[0].lower() not in HOP]


@pytest.mark.parametrize("protocol", ["openai", "http"])
def test_without_a_matching_rule_the_stream_is_byte_identical(sidecar, tee, protocol):
    rules = NOT_THIS if protocol == "openai" else NOT_THIS.replace('model = "not-this-one"', 'path = "/other"')
    it = sidecar(rules, upstream=tee.port, protocol=protocol)
    answer = chat.raw(it.port)
    head, body = unframed(tee.responses[-1])
    assert answer.complete
    assert answer.body == body
    assert body.endswith(b"data: [DONE]\n\n")
    ours = [f"{name}: {value}".encode("latin-1") for name, value in answer.fields]
    assert [line for line in ours if line.split(b":")[0].lower() not in HOP] == [
        b": ".join(part.strip() for part in line.split(b":", 1)) for line in end_to_end(head)[1:]
    ]
    assert it.wait_decisions(1)[0]["outcome"] == "ok"


def test_the_request_reaches_the_server_byte_for_byte(sidecar, tee):
    it = sidecar(NOT_THIS, upstream=tee.port, protocol="openai")
    chat.raw(it.port, fields=[("X-Mixed-Case", "a"), ("x-twice", "1"), ("X-Twice", "2")])
    head, body = bytes(tee.requests[-1]).split(b"\r\n\r\n", 1)
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/chat/completions HTTP/1.1"
    assert b"Host: test" in lines
    assert [line for line in lines if b"twice" in line.lower()] == [b"x-twice: 1", b"X-Twice: 2"]
    assert b"X-Mixed-Case: a" in lines
    assert body == json.dumps(chat.request()).encode()


def test_the_client_reads_the_same_text_as_without_the_sidecar(sidecar, llama):
    it = sidecar(NOT_THIS, upstream=llama, protocol="openai")
    direct = chat.text(llama)
    assert len(direct.split()) == 24
    assert chat.text(it.port) == direct
    whole = chat.client(it.port).chat.completions.create(**chat.request(stream=False))
    assert whole.choices[0].message.content == direct
    assert whole.usage.completion_tokens == 24


def test_first_token_delay_moves_the_first_content_only(sidecar, llama):
    it = sidecar(
        """
[[rules]]
name = "slow-first-token"
select = { stream = true }
[[rules.faults]]
delay = { at = "first-token", fixed = "300ms" }
""",
        upstream=llama,
        protocol="openai",
    )
    direct = chat.raw(llama)
    answer = chat.raw(it.port)
    events = answer.events()
    first = next(i for i, (_, event) in enumerate(events) if chat.has_content(event))
    assert first == next(i for i, (_, event) in enumerate(direct.events()) if chat.has_content(event)) == 1
    role_at, content_at = events[0][0], events[1][0]
    assert chat.data(events[0][1])["choices"][0]["delta"]["role"] == "assistant"
    assert content_at - role_at >= 0.300
    assert content_at - answer.head_at >= 0.300
    # Head and role event came when the server sent them, not with the first content.
    assert role_at - answer.head_at < 0.150
    # The wait is the first content's alone: no later gap has any of it.
    times = [at for at, _ in events[1:]]
    assert max(later - earlier for earlier, later in zip(times, times[1:])) < 0.150
    texts = [chat.data(event)["choices"][0]["delta"].get("content") for _, event in events[:-1]]
    assert texts == [chat.data(event)["choices"][0]["delta"].get("content") for _, event in direct.events()[:-1]]
    record = it.wait_decisions(1)[0]
    assert record["outcome"] == "ok"
    assert applied(record) == [("slow-first-token", "delay")]


SELECTED = """
[[rules]]
name = "by-model"
select = { model = "tiny-*" }
[[rules.faults]]
delay = { fixed = "1ms" }

[[rules]]
name = "by-stream"
select = { stream = true }
[[rules.faults]]
delay = { fixed = "1ms" }

[[rules]]
name = "by-operation"
select = { operation = "chat.completions" }
[[rules.faults]]
delay = { fixed = "1ms" }

[[rules]]
name = "by-all"
select = { operation = "chat.completions", model = "tiny-b", stream = false }
[[rules.faults]]
delay = { fixed = "1ms" }
"""


def test_model_stream_and_operation_select_exactly(sidecar, llama):
    it = sidecar(SELECTED, upstream=llama, protocol="openai")
    client = chat.client(it.port)
    cases = [
        (("tiny-a", True), ["by-model", "by-stream", "by-operation"]),
        (("tiny-b", False), ["by-model", "by-operation", "by-all"]),
        (("large", True), ["by-stream", "by-operation"]),
        (("large", False), ["by-operation"]),
        (("tiny", False), ["by-operation"]),
    ]
    for (model, stream), _ in cases:
        done = client.chat.completions.create(**chat.request(model=model, stream=stream, tokens=2))
        if stream:
            list(done)
    client.completions.create(model="tiny-a", prompt="ban", max_tokens=2, temperature=0)
    assert client.models.list().data
    records = it.wait_decisions(len(cases) + 2)
    for record, ((model, stream), rules) in zip(records, cases, strict=False):
        assert record["operation"] == "chat.completions"
        assert record["model"] == model
        assert record["stream"] is stream
        assert hits(record) == rules
    assert hits(records[-2]) == ["by-model"]
    assert hits(records[-1]) == []


@pytest.mark.parametrize(
    ("error", "expected", "status"),
    [
        ("overloaded", openai.InternalServerError, 503),
        ("rate_limited", openai.RateLimitError, 429),
        ("unauthorized", openai.AuthenticationError, 401),
        ("not_found", openai.NotFoundError, 404),
        ("internal", openai.InternalServerError, 500),
    ],
)
def test_an_injected_error_is_the_clients_own_error_class(sidecar, tee, error, expected, status):
    it = sidecar(
        f"""
[[rules]]
name = "refuse"
[[rules.faults]]
abort = {{ error = "{error}" }}
""",
        upstream=tee.port,
        protocol="openai",
    )
    for stream in (True, False):
        with pytest.raises(expected) as raised:
            chat.client(it.port).chat.completions.create(**chat.request(stream=stream))
        assert raised.value.status_code == status
        assert isinstance(raised.value.body, dict)
        assert raised.value.body["message"]
        assert raised.value.response.headers["x-hormesis-origin"] == "injected"
    assert tee.requests == []
    for record in it.wait_decisions(2):
        assert (record["origin"], record["outcome"], record["status"]) == ("injected", "injected_fault", status)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_disconnect_in_the_middle_is_seen_as_one(sidecar, llama, how):
    it = sidecar(
        f"""
[[rules]]
name = "cut"
[[rules.faults]]
disconnect = {{ at = {{ token = 5 }}, how = "{how}" }}
""",
        upstream=llama,
        protocol="openai",
    )
    seen = []
    with pytest.raises(Exception) as raised:  # the class is the HTTP library's
        for event in chat.client(it.port).chat.completions.create(**chat.request()):
            seen.append(event.choices[0].delta.content)
    names = {cls.__name__ for cls in type(raised.value).__mro__}
    assert names & {"TransportError", "APIConnectionError", "APIError"}, raised.value
    assert len([text for text in seen if text]) <= 5
    record = it.wait_decisions(1)[0]
    assert (record["origin"], record["outcome"]) == ("injected", "injected_fault")


def test_a_client_that_leaves_is_told_apart(sidecar, upstream):
    it = sidecar(upstream=upstream.port, protocol="openai")
    body = json.dumps(chat.request()).encode()
    with Connection(it.port) as connection:
        connection.send(
            f"POST {chat.PATH} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
            f"x-events: 400\r\nx-gap-ms: 50\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        while b"w1 " not in connection.buffer:
            connection.buffer += connection.receive()
    record = it.wait_decisions(1)[0]
    assert (record["origin"], record["outcome"]) == ("downstream", "client_abort")
    wait_until(lambda: upstream.requests(chat.PATH)[0]["left"], what="the upstream told that the client left")
