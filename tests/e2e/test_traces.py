"""Spans of calls, by OpenTelemetry's own SDK on the client's side and its own messages at the
collector: what hormesis did stands between the client's span and the upstream's."""

import http.server
import threading

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from support.net import HOST, free_port, wait_until

ABORT = """
[[rules]]
name = "broken"
select = { path = "/broken" }
faults = [{ abort = { error = "overloaded" } }]
[[rules]]
name = "late"
select = { path = "/late" }
faults = [{ delay = { fixed = "30ms" } }]
"""


class Collector:
    """Takes OTLP over HTTP and keeps the spans; may refuse."""

    def __init__(self):
        self.requests, self.headers, self.status = [], [], 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # noqa: N802
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.headers.append((self.path, dict(self.headers)))
                if outer.status == 200:
                    outer.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(outer.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self):
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait(self, count):
        def enough():
            found = self.spans()
            return found if len(found) >= count else None

        return wait_until(enough, 10, f"{count} spans")

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def collector():
    it = Collector()
    yield it
    it.close()


def traces(collector, calls="fired"):
    port = collector if isinstance(collector, int) else collector.port
    return f'[traces]\nendpoint = "http://{HOST}:{port}"\ncalls = "{calls}"\nheaders = {{ x-key = "k1" }}\n'


def attributes(span):
    def plain(value):
        kind = value.WhichOneof("value")
        found = getattr(value, kind)
        return [plain(it) for it in found.values] if kind == "array_value" else found

    return {it.key: plain(it.value) for it in span.attributes}


def injected_headers(provider):
    """A client's span, and the header that its SDK sends along."""
    with provider.get_tracer("test").start_as_current_span("client") as span:
        carrier = {}
        TraceContextTextMapPropagator().inject(carrier)
        return span.get_span_context(), [("Traceparent", carrier["traceparent"]), ("Tracestate", "vendor=1")]


def seen_upstream(upstream, path):
    [entry] = upstream.requests(path)
    return {name.lower(): value for name, value in entry["fields"]}


def test_the_call_stands_between_the_clients_span_and_the_upstreams(sidecar, upstream, collector):
    it = sidecar(ABORT, upstream=upstream.port, top=traces(collector))
    client, fields = injected_headers(TracerProvider())
    assert it.call("GET", "/late?secret=1", fields=fields).status == 200
    [span] = collector.wait(1)
    assert span.trace_id == client.trace_id.to_bytes(16)
    assert span.parent_span_id == client.span_id.to_bytes(8)
    headers = seen_upstream(upstream, "/late?secret=1")
    assert headers["traceparent"] == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-{client.trace_flags:02x}"
    assert headers["tracestate"] == "vendor=1"
    told = attributes(span)
    assert (told["http.request.method"], told["url.path"], told["http.response.status_code"]) == ("GET", "/late", 200)
    assert (told["hormesis.fault.rules"], told["hormesis.fault.kinds"]) == (["late"], ["delay"])
    assert told["hormesis.fault.fates"] == ["applied"]
    assert told["hormesis.injected_wait_s"] >= 0.03
    assert span.end_time_unix_nano - span.start_time_unix_nano >= 30_000_000
    [(path, sent)] = collector.headers
    assert (path, sent["content-type"], sent["x-key"]) == ("/v1/traces", "application/x-protobuf", "k1")
    # The slow bucket leads to the trace.
    text = it.get("/metrics", fields=[("Accept", "application/openmetrics-text; version=1.0.0")]).body.decode()
    [line] = [line for line in text.splitlines() if "trace_id" in line]
    assert f'trace_id="{span.trace_id.hex()}"' in line and 'le="0.05"' in line
    # The decision log names the same trace.
    [record] = it.wait_decisions(1)
    assert record["trace"] == f"{span.trace_id.hex()}/{span.span_id.hex()}"


def test_an_injected_error_is_an_error_of_the_span_and_says_whose(sidecar, upstream, collector):
    it = sidecar(ABORT, upstream=upstream.port, top=traces(collector))
    # Without a caller's trace one begins here, since a fault acts; the untouched call has none.
    assert it.call("GET", "/untouched").status == 200
    assert it.call("GET", "/broken").status == 503
    [span] = collector.wait(1)
    told = attributes(span)
    assert (told["hormesis.origin"], told["hormesis.outcome"], told["url.path"]) == ("injected", "injected_fault", "/broken")
    assert span.status.code == 2 and not span.parent_span_id
    assert "traceparent" not in seen_upstream(upstream, "/untouched")


def test_a_new_trace_takes_nothing_over_of_another(sidecar, upstream, collector):
    it = sidecar(ABORT, upstream=upstream.port, top=traces(collector, "all"))
    broken = [("Traceparent", "00-zz-1-01"), ("Tracestate", "vendor=1")]
    assert it.call("GET", "/own", fields=broken).status == 200
    [span] = collector.wait(1)
    headers = seen_upstream(upstream, "/own")
    assert headers["traceparent"].split("-")[1] == span.trace_id.hex()
    assert "tracestate" not in headers


def test_a_caller_that_does_not_sample_passes_unchanged(sidecar, upstream, collector):
    it = sidecar(ABORT, upstream=upstream.port, top=traces(collector, "all"))
    _, fields = injected_headers(TracerProvider(sampler=ALWAYS_OFF))
    assert it.call("GET", "/late", fields=fields).status == 200
    assert seen_upstream(upstream, "/late")["traceparent"] == dict(fields)["Traceparent"]
    assert it.call("GET", "/own").status == 200
    [span] = collector.wait(1)
    assert attributes(span)["url.path"] == "/own"
    assert seen_upstream(upstream, "/own")["traceparent"].split("-")[2] == span.span_id.hex()


def test_without_traces_the_header_is_nobodys_business(sidecar, upstream):
    it = sidecar(upstream=upstream.port)
    _, fields = injected_headers(TracerProvider())
    assert it.call("GET", "/plain", fields=fields).status == 200
    assert seen_upstream(upstream, "/plain")["traceparent"] == dict(fields)["Traceparent"]


def test_a_collector_that_is_gone_harms_no_call_and_is_counted(sidecar, upstream):
    it = sidecar(upstream=upstream.port, top=traces(free_port(), "all"))
    assert it.call("GET", "/x").status == 200
    wait_until(lambda: it.metric("hormesis_spans_total", result="dropped") == 1, 15, "the span to be given up")
    assert it.metric("hormesis_spans_total", result="exported") == 0


def test_what_waits_is_handed_over_at_the_end(sidecar, upstream, collector):
    it = sidecar(upstream=upstream.port, top=traces(collector, "all"), log="off")
    for number in range(50):
        assert it.call("GET", f"/{number}").status == 200
    it.stop()
    assert len(collector.spans()) == 50
