"""What no rule selects passes byte for byte: thousands of random bodies each way, in every framing,
with a hundred rules loaded that do not match.

`HORMESIS_IDENTITY=10000` makes it the long run; the suite's own is shorter.
"""

import hashlib
import os
import random
import struct
from concurrent import futures

import grpc
import pytest

from support.net import HOST, Connection
from support.payload import as_chunks, events, made

BODIES = int(os.environ.get("HORMESIS_IDENTITY", 400))
MIB = 1 << 20
KINDS = ["random", "values", "frames", "gzip"]


def rules(count=100):
    """Rules that look at everything that can be looked at, and match none of these calls."""
    selects = [
        'path = "/elsewhere/{0}/**"',
        'headers = {{ x-tenant = "t{0}" }}',
        'method = "PATCH", query = {{ q = "v{0}" }}',
        'host = "h{0}.example"',
        'body = {{ "/field{0}" = "x" }}',
        'model = "model-{0}"',
    ]
    text = ""
    for number in range(count):
        select = selects[number % len(selects)].format(number)
        fault = 'corrupt = { random = "100%" }' if number % 2 else "abort = { status = 503 }"
        text += f'[[rules]]\nname = "r{number}"\nselect = {{ {select} }}\n[[rules.faults]]\n{fault}\n'
    return text


def size(source):
    """Mostly small, now and then large, and the edges of buffers."""
    pick = source.random()
    if pick < 0.3:
        return source.choice([0, 1, 2, 4095, 4096, 16383, 65535, 65536, 65537, 131072])
    if pick < 0.95:
        return int(2 ** source.uniform(0, 17))
    if pick < 0.998:
        return int(2 ** source.uniform(17, 22))
    return source.randrange(32 * MIB, 64 * MIB + 1)


def framing(source, length):
    # Chunks of a few bytes only where there are few of them.
    step = source.randrange(1, 70_000) if length > 4096 else source.randrange(1, 300)
    return source.choice(["length", "close", f"chunked-{step}"])


def one(connection, source, up, down, kind):
    """One call; the framing that its answer came in."""
    seeds = source.randrange(1 << 30), source.randrange(1 << 30)
    sent, wanted = made(seeds[0], up, kind), made(seeds[1], down, kind)
    back = framing(source, down)
    query = f"seed={seeds[1]}&size={down}&kind={kind}&framing={back}"
    coding = "Content-Encoding: gzip\r\n" if kind == "gzip" else ""
    start = f"POST /identity?{query} HTTP/1.1\r\nHost: test\r\n{coding}Content-Type: application/octet-stream\r\n"
    if source.random() < 0.5:
        connection.send(f"{start}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
    else:
        step = source.randrange(1, 70_000) if up > 4096 else source.randrange(1, 300)
        connection.send(f"{start}Transfer-Encoding: chunked\r\n\r\n".encode() + as_chunks(sent, step))
    total = hashlib.sha256()
    answer = connection.read("POST", total.update)
    told = f"{up} bytes up, {down} down, {kind}, {back}"
    assert answer.status == 200 and answer.complete, told
    assert answer.header("X-Got") == hashlib.sha256(sent).hexdigest(), f"request: {told}"
    assert total.hexdigest() == hashlib.sha256(wanted).hexdigest(), f"answer: {told}"
    return back


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_random_bodies_pass_byte_for_byte(sidecar, upstream):
    it = sidecar(rules(), upstream=upstream.port)
    source = random.Random(11)
    connection, done = None, 0
    while done < BODIES // 2:  # a body each way
        connection = connection or Connection(it.port)
        back = one(connection, source, size(source), size(source), source.choice(KINDS))
        done += 1
        if back == "close":
            connection.close()
            connection = None
    assert it.metric("hormesis_faults_total") == 0


def test_the_largest_bodies_pass_byte_for_byte(sidecar, upstream):
    it = sidecar(rules(), upstream=upstream.port)
    with Connection(it.port) as connection:
        one(connection, random.Random(3), 64 * MIB, 64 * MIB, "random")


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_random_event_streams_pass_byte_for_byte(sidecar, upstream):
    it = sidecar(rules(), upstream=upstream.port, protocol="openai")
    source = random.Random(12)
    with Connection(it.port) as connection:
        for _ in range(max(BODIES // 4, 1)):
            seed, count = source.randrange(1 << 30), source.randrange(1, 40)
            answer = connection.request("POST", f"/v1/chat/completions/raw?seed={seed}&events={count}", body=b"{}")
            assert answer.complete and answer.header("Content-Type") == "text/event-stream"
            assert answer.body == events(seed, count), f"seed {seed}, {count} events"
    assert it.metric("hormesis_faults_total") == 0


class Streams(grpc.GenericRpcHandler):
    """Answers each message with its digest and with bytes that a seed in it stands for."""

    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(self.answer)

    def answer(self, requests, context):
        for request in requests:
            seed, size = struct.unpack(">II", request[:8])
            yield hashlib.sha256(request).digest() + random.Random(seed).randbytes(size)


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_random_grpc_streams_pass_byte_for_byte(sidecar):
    options = [("grpc.max_send_message_length", 64 * MIB), ("grpc.max_receive_message_length", 64 * MIB)]
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Streams()], options=options)
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    it = sidecar(rules(), upstream=port, protocol="grpc", scheme="grpc")
    source, left = random.Random(13), BODIES // 2
    with grpc.insecure_channel(f"{HOST}:{it.port}", options=options) as channel:
        call = channel.stream_stream("/any.Service/Any")
        while left > 0:
            plan = []
            for _ in range(min(left, source.randrange(1, 20))):
                back = struct.pack(">II", source.randrange(1 << 30), min(size(source), 8 * MIB))
                plan.append(back + source.randbytes(min(size(source), 8 * MIB)))
            left -= len(plan)
            got = list(call(iter(plan), timeout=120))
            assert len(got) == len(plan)
            for sent, answer in zip(plan, got, strict=True):
                seed, length = struct.unpack(">II", sent[:8])
                assert answer[:32] == hashlib.sha256(sent).digest()
                assert answer[32:] == random.Random(seed).randbytes(length)
    assert it.metric("hormesis_faults_total") == 0
    server.stop(0).wait()
