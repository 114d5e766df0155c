"""MLServer over gRPC with a model whose pace shows: unary, streams, deadlines, cancels, large messages."""

import hashlib
import json
import sys
import time
from pathlib import Path

import grpc
import numpy
import pytest
import tritonclient.grpc
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from support.net import HOST, accepts, call, free_port, wait_until
from support.process import Child

HERE = Path(__file__).parent
BIG = 16 << 20
OPTIONS = [("grpc.max_send_message_length", 4 * BIG), ("grpc.max_receive_message_length", 4 * BIG)]
SERVICE = "/inference.GRPCInferenceService/"
# Calls are described where a rule watches them, and it acts on none.
WATCHING = """
[[rules]]
name = "another"
select = { operation = "infer", headers = { x-tenant = "nobody" } }
[[rules.faults]]
abort = { error = "unavailable" }
"""


def write(directory, http, grpc, metrics):
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    settings.update(debug=False, parallel_workers=0, metrics_endpoint=None, grpc_max_message_length=64 << 20)
    (directory / "settings.json").write_text(json.dumps(settings))
    told = {"name": "paced", "implementation": "support.paced_model.Paced"}
    (directory / "model-settings.json").write_text(json.dumps(told))


class Paced:
    """The server, and what its model wrote down."""

    def __init__(self, directory):
        self.book = directory / "paced.log"
        self.book.write_text("")
        port, self.port = free_port(), free_port()
        write(directory, port, self.port, free_port())
        program = Path(sys.executable).with_name("mlserver")
        env = {"PYTHONPATH": str(HERE), "PACED_LOG": str(self.book)}
        self.child = Child([program, "start", directory], directory / "mlserver.log", env=env)

        def ready():
            if not self.child.running:
                pytest.fail(self.child.tail())
            return accepts(port) and call(port, path="/v2/models/paced/ready").status == 200

        wait_until(ready, 90, "MLServer", pause=0.1)

    def told(self, what):
        lines = [json.loads(line) for line in self.book.read_text().splitlines()]
        return [line["at"] for line in lines if line["what"] == what]

    def wait(self, what, count):
        return wait_until(lambda: len(self.told(what)) >= count and self.told(what), what=f"{count} × {what}")[-1]


@pytest.fixture(scope="module")
def paced(tmp_path_factory):
    it = Paced(tmp_path_factory.mktemp("paced"))
    yield it
    it.child.stop()


@pytest.fixture
def before(sidecar, paced):
    return sidecar(WATCHING, upstream=paced.port, protocol="grpc", scheme="grpc")


def inputs(body, seconds=0.0, count=1):
    """As tritonclient's, for both clients."""
    given = tritonclient.grpc.InferInput("body", [1], "BYTES")
    given.set_data_from_numpy(numpy.array([body], dtype=numpy.object_))
    pace = tritonclient.grpc.InferInput("pace", [2], "FP64")
    pace.set_data_from_numpy(numpy.array([seconds, count], dtype=numpy.float64))
    return [given, pace]


def request(body, seconds=0.0, count=1, name="one"):
    told = service_pb2.ModelInferRequest(model_name="paced", id=name)
    for given in inputs(body, seconds, count):
        told.inputs.append(given._get_tensor())  # noqa: SLF001 (there is no other way to it)
        told.raw_input_contents.append(given._get_content())  # noqa: SLF001
    return told


def streamed(channel):
    """MLServer streams bare answers, where Triton wraps each."""
    return channel.stream_stream(
        f"{SERVICE}ModelStreamInfer",
        request_serializer=service_pb2.ModelInferRequest.SerializeToString,
        response_deserializer=service_pb2.ModelInferResponse.FromString,
    )


def unary(channel):
    return channel.unary_unary(
        f"{SERVICE}ModelInfer",
        request_serializer=service_pb2.ModelInferRequest.SerializeToString,
        response_deserializer=service_pb2.ModelInferResponse.FromString,
    )


def dial(port):
    return grpc.insecure_channel(f"{HOST}:{port}", options=OPTIONS)


def test_unary_calls_and_messages_of_16_megabytes(before, paced):
    body = numpy.random.default_rng(1).bytes(BIG - 1000)
    for sent in (b"hello", body):
        seen = []
        for port in (paced.port, before.port):
            with tritonclient.grpc.InferenceServerClient(f"{HOST}:{port}", channel_args=OPTIONS) as client:
                told = client.infer("paced", inputs(sent), request_id="one")
            echo = told.as_numpy("echo").ravel()[0]
            assert hashlib.sha256(echo).digest() == hashlib.sha256(sent).digest()
            seen.append(hashlib.sha256(told.get_response().SerializeToString(deterministic=True)).digest())
        assert seen[0] == seen[1]
    records = before.wait_decisions(2)
    assert [(record["operation"], record["outcome"]) for record in records] == [("infer", "ok")] * 2


def test_a_stream_of_many_answers_is_the_same_and_comes_as_it_is_made(before, paced):
    asked = [request(bytes([number]) * 1000, 0.02, 10, str(number)) for number in range(3)]
    seen, times = [], []
    for port in (paced.port, before.port):
        with dial(port) as channel:
            found, start = [], time.monotonic()
            for answer in streamed(channel)(iter(asked), timeout=60):
                found.append(answer.SerializeToString(deterministic=True))
                times.append(time.monotonic() - start)
            seen.append(found)
    assert len(seen[0]) == 30
    assert seen[0] == seen[1]
    through = times[30:]
    # Thirty answers of 20 ms each: the first is not held until the last.
    assert through[0] < through[-1] / 2
    record = before.wait_decisions(1)[0]
    assert (record["operation"], record["stream"], record["outcome"]) == ("infer_stream", True, "ok")


def test_a_deadline_ends_the_call_and_reaches_the_model(before, paced):
    ended = len(paced.told("cancelled"))
    with tritonclient.grpc.InferenceServerClient(f"{HOST}:{before.port}") as client:
        with pytest.raises(InferenceServerException) as raised:
            client.infer("paced", inputs(b"x", 20), client_timeout=0.5)
    assert "DEADLINE_EXCEEDED" in raised.value.status()
    paced.wait("cancelled", ended + 1)
    with dial(before.port) as channel, pytest.raises(grpc.RpcError) as raised:
        list(streamed(channel)(iter([request(b"x", 0.1, 100)]), timeout=0.5))
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    paced.wait("cancelled", ended + 2)


def test_a_cancel_reaches_the_model_within_100_ms(before, paced):
    took = {"unary": [], "stream": []}
    with dial(before.port) as channel:
        for _ in range(3):
            for kind, seconds in (("unary", 20), ("stream", 0.05)):
                begun, ended = len(paced.told("begun")), len(paced.told("cancelled"))
                if kind == "unary":
                    running = unary(channel).future(request(b"x", seconds))
                    paced.wait("begun", begun + 1)
                else:
                    running = streamed(channel)(iter([request(b"x", seconds, 1000)]))
                    next(running)
                at = time.time()
                running.cancel()
                took[kind].append(paced.wait("cancelled", ended + 1) - at)
    shown = {kind: [f"{seconds * 1000:.1f} ms" for seconds in found] for kind, found in took.items()}
    print(f"the model saw the cancel after {shown}")
    # A machine under load may hold one of them up.
    assert all(min(found) < 0.1 for found in took.values()), shown
    assert {record["outcome"] for record in before.wait_decisions(6)} == {"client_abort"}
    wait_until(lambda: before.metric("hormesis_active_calls") == 0, what="no call left")


def test_an_error_of_the_server_is_its_own_and_counts_as_what_it_is(before, paced):
    with tritonclient.grpc.InferenceServerClient(f"{HOST}:{before.port}") as client:
        with pytest.raises(InferenceServerException) as raised:
            client.infer("nobody", inputs(b"x"))
    assert "NOT_FOUND" in raised.value.status()
    record = before.wait_decisions(1)[0]
    assert (record["outcome"], record["origin"], record["status"]) == ("rejected", "upstream", 200)
    assert "grpc-status: 5" in record["reason"]
