"""A classifier of scikit-learn's digits, trained on the spot, laid out as MLServer wants it."""

import json

import joblib
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

NAMES = ("digits", "spare")


def write(directory, http, grpc, metrics):
    data = load_digits()
    model = LogisticRegression(max_iter=200).fit(data.data / 16, data.target)
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    # No worker processes: two models on two cores need none.
    settings.update(debug=False, parallel_workers=0, metrics_endpoint=None)
    (directory / "settings.json").write_text(json.dumps(settings))
    for name in NAMES:
        folder = directory / name
        folder.mkdir()
        joblib.dump(model, folder / "model.joblib")
        told = {
            "name": name,
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": "./model.joblib", "version": "v1"},
        }
        (folder / "model-settings.json").write_text(json.dumps(told))


def rows(count):
    """The first images of the data set, and what they show."""
    data = load_digits()
    return (data.data[:count] / 16).astype("float32"), data.target[:count]
