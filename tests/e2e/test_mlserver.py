"""MLServer and Triton's client, the Open Inference protocol between them."""

import json

import numpy
import pytest
import tritonclient.http
from tritonclient.utils import InferenceServerException

from support import sklearn_model
from support.net import HOST, call
from support.sidecar import applied, hits

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def infer(port, model="digits", count=8):
    images, _ = sklearn_model.rows(count)
    given = tritonclient.http.InferInput("predict", list(images.shape), "FP32")
    given.set_data_from_numpy(images, binary_data=False)
    wanted = [tritonclient.http.InferRequestedOutput("predict", binary_data=False)]
    with tritonclient.http.InferenceServerClient(f"{HOST}:{port}") as client:
        return client.infer(model, [given], outputs=wanted, request_id="one").as_numpy("predict").ravel()


def body(count=8):
    images, _ = sklearn_model.rows(count)
    tensor = {"name": "predict", "shape": list(images.shape), "datatype": "FP32", "data": images.ravel().tolist()}
    return json.dumps({"id": "one", "inputs": [tensor]}).encode()


JSON = [("Content-Type", "application/json")]
PATH = "/v2/models/{}/infer"
ONE_MODEL = """
[[rules]]
name = "spare-only"
select = { operation = "infer", model = "spare" }
[[rules.faults]]
abort = { error = "overloaded" }
"""


def test_an_inference_passes_unchanged(sidecar, mlserver):
    it = sidecar(ONE_MODEL, upstream=mlserver, protocol="open-inference")
    assert numpy.array_equal(infer(it.port, count=64), infer(mlserver, count=64))
    assert len(set(infer(it.port, count=64))) == 10, "a model that tells digits apart"
    direct = call(mlserver, "POST", PATH.format("digits"), fields=JSON, body=body())
    answer = it.call("POST", PATH.format("digits"), fields=JSON, body=body())
    assert (answer.status, answer.body) == (direct.status, direct.body)
    assert answer.origin is None


def test_the_model_selector_lands_on_its_model_only(sidecar, mlserver):
    it = sidecar(ONE_MODEL, upstream=mlserver, protocol="open-inference")
    infer(it.port, "digits")
    with pytest.raises(InferenceServerException):
        infer(it.port, "spare")
    # Its metadata is another operation.
    with tritonclient.http.InferenceServerClient(f"{HOST}:{it.port}") as client:
        assert client.get_model_metadata("spare")["name"] == "spare"
        assert client.is_server_ready()
    records = [r for r in it.wait_decisions(4) if r.get("operation") == "infer"]
    assert [(r["model"], hits(r)) for r in records] == [("digits", []), ("spare", ["spare-only"])]
    assert applied(records[1]) == [("spare-only", "abort")]


def test_the_injected_error_is_one_of_this_protocol(sidecar, mlserver):
    it = sidecar(ONE_MODEL, upstream=mlserver, protocol="open-inference")
    with pytest.raises(InferenceServerException) as raised:
        infer(it.port, "spare")
    assert raised.value.status() == "503"
    assert raised.value.message()
    answer = it.call("POST", PATH.format("spare"), fields=JSON, body=body())
    assert answer.status == 503
    assert isinstance(json.loads(answer.body)["error"], str)
    assert answer.origin == "injected"


def test_a_real_error_of_the_server_is_not_called_injected(sidecar, mlserver):
    it = sidecar(ONE_MODEL, upstream=mlserver, protocol="open-inference")
    answer = it.call("POST", PATH.format("nobody"), fields=JSON, body=body())
    assert answer.status == 404
    assert answer.origin != "injected"
    assert it.wait_decisions(1)[0]["origin"] == "upstream"


def test_health_is_never_touched(sidecar, mlserver):
    it = sidecar(
        """
[[rules]]
name = "everything"
[[rules.faults]]
abort = { error = "unavailable" }
""",
        upstream=mlserver,
        protocol="open-inference",
    )
    assert it.call(path="/v2/health/ready").status == 200
    assert it.call(path="/v2/models/digits").status == 503
