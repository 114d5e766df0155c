"""gRPC between its own client and servers: grpcio on both sides, and Triton's client before MLServer."""

import hashlib
import threading
import time
from concurrent import futures

import grpc
import numpy
import pytest
import tritonclient.grpc
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from support import sklearn_model
from support.net import HOST, free_port
from support.sidecar import applied

BIG = 16 << 20
OPTIONS = [("grpc.max_send_message_length", 2 * BIG), ("grpc.max_receive_message_length", 2 * BIG)]


class Service(grpc.GenericRpcHandler):
    """`/test.Echo/*` on plain bytes, so that no generated code is needed."""

    def __init__(self):
        self.cancelled = threading.Event()
        self.cancelled_at = None
        self.begun = threading.Event()

    def service(self, details):
        kinds = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Empty": grpc.unary_unary_rpc_method_handler(lambda request, context: b""),
            "Server": grpc.unary_stream_rpc_method_handler(self.server),
            "Client": grpc.stream_unary_rpc_method_handler(self.client),
            "Both": grpc.stream_stream_rpc_method_handler(self.both),
            "Hash": grpc.unary_unary_rpc_method_handler(lambda request, context: hashlib.sha256(request).digest()),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
        }
        return kinds.get(details.method.removeprefix("/test.Echo/"))

    def unary(self, request, context):
        asked = [(k, v) for k, v in context.invocation_metadata() if k.startswith("x-")]
        context.send_initial_metadata([("x-initial", "1"), *asked])
        context.set_trailing_metadata([("x-trailing", "one"), ("x-trailing", "two"), ("x-data-bin", b"\0\xff\n")])
        return request

    def server(self, request, context):
        for number in range(int(request)):
            yield b"%d" % number

    def client(self, requests, context):
        return b",".join(requests)

    def both(self, requests, context):
        for request in requests:
            yield request * 2

    def fail(self, request, context):
        context.set_trailing_metadata([("grpc-status-details-bin", b"\x08\x05 details"), ("x-why", "so")])
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: 50% \N{SNOWMAN}\nline")

    def hang(self, request, context):
        def over():
            self.cancelled_at = time.monotonic()
            self.cancelled.set()

        context.add_callback(over)
        self.begun.set()
        self.cancelled.wait(30)
        return b""


@pytest.fixture
def service():
    it = Service()
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[it], options=OPTIONS)
    it.port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    yield it
    it.cancelled.set()
    server.stop(0).wait()


def dial(port):
    return grpc.insecure_channel(f"{HOST}:{port}", options=OPTIONS)


def pairs(metadata):
    return sorted((k, v) for k, v in metadata or () if k.startswith(("x-", "grpc-status-details")))


@pytest.fixture
def before(sidecar, service):
    def start(rules=""):
        return sidecar(rules, upstream=service.port, protocol="grpc", scheme="grpc")

    return start


def test_all_kinds_of_calls_pass_unchanged(before, service):
    it = before()
    for port in (service.port, it.port):
        with dial(port) as channel:
            assert channel.unary_unary("/test.Echo/Unary")(b"hello", timeout=20) == b"hello"
            assert channel.unary_unary("/test.Echo/Empty")(b"", timeout=20) == b""
            got = list(channel.unary_stream("/test.Echo/Server")(b"500", timeout=20))
            assert got == [b"%d" % n for n in range(500)]
            assert channel.stream_unary("/test.Echo/Client")(iter([b"a", b"b", b""]), timeout=20) == b"a,b,"
    records = it.wait_decisions(4)
    assert {record["outcome"] for record in records} == {"ok"}


def test_a_stream_both_ways_answers_each_message_before_the_next_is_sent(before):
    it = before()
    answers, asked = [], threading.Semaphore(1)

    def requests():
        for number in range(50):
            assert asked.acquire(timeout=20)
            yield b"%d;" % number

    with dial(it.port) as channel:
        for answer in channel.stream_stream("/test.Echo/Both")(requests(), timeout=20):
            answers.append(answer)
            asked.release()
    assert answers == [b"%d;%d;" % (n, n) for n in range(50)]


def test_metadata_is_the_same_with_and_without_the_sidecar(before, service):
    it = before()
    seen = []
    for port in (service.port, it.port):
        with dial(port) as channel:
            asked = [("x-a", "1"), ("x-a", "2"), ("x-b-bin", bytes(range(256)))]
            _, call = channel.unary_unary("/test.Echo/Unary").with_call(b"x", metadata=asked, timeout=20)
            seen.append((pairs(call.initial_metadata()), pairs(call.trailing_metadata())))
    assert seen[0] == seen[1]
    assert len(seen[0][0]) == 4 and len(seen[0][1]) == 3


def test_an_error_of_the_server_keeps_its_details(before, service):
    it = before()
    seen = []
    for port in (service.port, it.port):
        with dial(port) as channel, pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary("/test.Echo/Fail")(b"", timeout=20)
        error = raised.value
        seen.append((error.code(), error.details(), pairs(error.trailing_metadata())))
    assert seen[0] == seen[1]
    assert seen[0][0] == grpc.StatusCode.NOT_FOUND
    with dial(it.port) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/test.Nobody/Here")(b"", timeout=20)
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_messages_of_16_megabytes_pass_both_ways(before):
    it = before()
    body = numpy.random.default_rng(1).bytes(BIG)
    with dial(it.port) as channel:
        assert channel.unary_unary("/test.Echo/Hash")(body, timeout=60) == hashlib.sha256(body).digest()
        answer = channel.unary_unary("/test.Echo/Unary")(body, timeout=60)
    assert hashlib.sha256(answer).digest() == hashlib.sha256(body).digest()


def test_a_deadline_ends_the_call_and_reaches_the_server(before, service):
    it = before()
    with dial(it.port) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/test.Echo/Hang")(b"", timeout=0.5)
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.cancelled.wait(20)


def test_a_cancel_reaches_the_server(before, service):
    it = before()
    with dial(it.port) as channel:
        call = channel.unary_unary("/test.Echo/Hang").future(b"")
        assert service.begun.wait(20)
        at = time.monotonic()
        call.cancel()
        assert service.cancelled.wait(20)
    print(f"the server saw the cancel after {(service.cancelled_at - at) * 1000:.1f} ms")
    assert it.wait_decisions(1)[0]["outcome"] == "client_abort"


RULES = """
[[rules]]
name = "slow"
select = { path = "/test.Echo/Server" }
[[rules.faults]]
delay = { fixed = "300ms" }

[[rules]]
name = "gone"
select = { path = "/test.Echo/Unary" }
[[rules.faults]]
abort = { error = "unavailable" }
"""


def test_a_delay_and_an_abort_act_on_grpc(before, service):
    it = before(RULES)
    with dial(it.port) as channel:
        start = time.monotonic()
        assert list(channel.unary_stream("/test.Echo/Server")(b"2", timeout=20)) == [b"0", b"1"]
        assert time.monotonic() - start >= 0.3
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary("/test.Echo/Unary")(b"", timeout=20)
    error = raised.value
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    told = dict(error.initial_metadata() or ()) | dict(error.trailing_metadata() or ())
    assert told["x-hormesis-origin"] == "injected"
    assert [applied(record) for record in it.wait_decisions(2)] == [[("slow", "delay")], [("gone", "abort")]]


def test_an_upstream_that_is_gone_is_unavailable_and_not_called_injected(sidecar):
    it = sidecar(upstream=free_port(), protocol="grpc", scheme="grpc")
    with dial(it.port) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/test.Echo/Unary")(b"", timeout=20)
    error = raised.value
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    told = dict(error.initial_metadata() or ()) | dict(error.trailing_metadata() or ())
    assert told["x-hormesis-origin"] == "upstream"


# --- Triton's client before MLServer ---


def infer_input(count=8):
    images, _ = sklearn_model.rows(count)
    given = tritonclient.grpc.InferInput("predict", list(images.shape), "FP32")
    given.set_data_from_numpy(images)
    return given


def infer(port, count=8):
    with tritonclient.grpc.InferenceServerClient(f"{HOST}:{port}") as client:
        return client.infer("digits", [infer_input(count)], request_id="one").as_numpy("predict").ravel()


# Calls are described where a rule watches them.
WATCHING = """
[[rules]]
name = "another"
select = { operation = "infer", headers = { x-tenant = "nobody" } }
[[rules.faults]]
abort = { error = "unavailable" }
"""


def test_tritons_client_before_mlserver(sidecar, mlserver_grpc):
    it = sidecar(WATCHING, upstream=mlserver_grpc, protocol="grpc", scheme="grpc")
    assert numpy.array_equal(infer(it.port, 64), infer(mlserver_grpc, 64))
    with tritonclient.grpc.InferenceServerClient(f"{HOST}:{it.port}") as client:
        assert client.is_server_ready() and client.is_model_ready("digits")
        assert client.get_model_metadata("digits").name == "digits"
        with pytest.raises(InferenceServerException) as raised:
            client.infer("nobody", [infer_input()])
        assert "NOT_FOUND" in raised.value.status()
    operations = {record.get("operation") for record in it.wait_decisions(5)}
    assert {"infer", "server.ready", "model.ready", "model.metadata"} <= operations


class Streamed(grpc.GenericRpcHandler):
    """ModelStreamInfer that answers each request as it comes; MLServer answers none before the stream's end."""

    def service(self, details):
        if details.method != "/inference.GRPCInferenceService/ModelStreamInfer":
            return None
        return grpc.stream_stream_rpc_method_handler(
            self.answer,
            request_deserializer=service_pb2.ModelInferRequest.FromString,
            response_serializer=service_pb2.ModelStreamInferResponse.SerializeToString,
        )

    def answer(self, requests, context):
        for request in requests:
            told = service_pb2.ModelStreamInferResponse()
            told.infer_response.id = request.id
            told.infer_response.model_name = request.model_name
            yield told


def test_a_stream_of_tritons_client(sidecar):
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Streamed()])
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    it = sidecar(WATCHING, upstream=port, protocol="grpc", scheme="grpc")
    found, done = [], threading.Semaphore(0)

    def take(result, error):
        found.append(error or result.get_response().id)
        done.release()

    with tritonclient.grpc.InferenceServerClient(f"{HOST}:{it.port}") as client:
        client.start_stream(take)
        for number in range(3):
            client.async_stream_infer("digits", [infer_input()], request_id=str(number))
            assert done.acquire(timeout=20)
        client.stop_stream()
    assert found == ["0", "1", "2"]
    assert it.wait_decisions(1)[0]["operation"] == "infer_stream"
    server.stop(0).wait()


def test_a_rule_on_the_operation_is_seen_by_tritons_client(sidecar, mlserver_grpc):
    rule = '[[rules]]\nname = "out"\nselect = { operation = "infer" }\n[[rules.faults]]\nabort = { error = "overloaded" }\n'
    it = sidecar(rule, upstream=mlserver_grpc, protocol="grpc", scheme="grpc")
    with pytest.raises(InferenceServerException) as raised:
        infer(it.port)
    assert "UNAVAILABLE" in raised.value.status()
    with tritonclient.grpc.InferenceServerClient(f"{HOST}:{it.port}") as client:
        assert client.is_model_ready("digits")
