"""The rows of the table: what is measured, in which unit, and the bar it is held to."""

import dataclasses
import math
import time

import memory
from rig import DELAY_MS, HOST, UP_SSE, UPSTREAM_PORTS, cpu_seconds, get, on_cpu_seconds


@dataclasses.dataclass
class Bar:
    """`value` ≤ `ratio` × the best of `beside` in the same run; or ≤ `limit` alone, or what a share of
    another figure of the same measurement allows, where that is more."""

    ratio: float = math.nan
    beside: tuple = ()
    limit: float = math.nan
    share: float = math.nan
    of: str = ""


@dataclasses.dataclass
class Row:
    """`value` names the figure that counts, of those that `measure(rig, proxy)` returns."""

    name: str
    title: str
    unit: str
    value: str
    measure: callable
    mode: str
    must: Bar | None = None
    aim: Bar | None = None
    # Who is measured; of ours, which variant stands for it.
    proxies: tuple = ("nginx", "haproxy", "envoy", "hormesis")
    ours: str = "hormesis"
    # It starts and stops the proxy by itself.
    restarts: bool = False
    rounds: int | None = None
    # So many times the rounds: three tell 8 %, a narrow bar asks for more.
    times: int = 1
    # It compares two of ours within one measurement, there and back by itself.
    alone: bool = False
    # Another row, whose measurement has this figure too.
    shares: str = ""
    # Each pass counts as a round: a mean of two times is told by the worse of them.
    singly: bool = False
    # The worst of all rounds counts, not the median.
    worst: bool = False


def url(proxy, mode, path="/1k", scheme="http"):
    port = UPSTREAM_PORTS[mode] if proxy is None else proxy.port(mode)
    return f"{scheme}://{HOST}:{port}{path}"


def cpu_of(proxy, action, seconds=cpu_seconds):
    """Runs an action; its result, the CPU seconds that the proxy used, and how busy it was."""
    pid = proxy.process.pid
    wall, before = time.monotonic(), seconds(pid)
    result = action()
    used = seconds(pid) - before
    return result, used, used / (time.monotonic() - wall)


def quantile(ordered, q):
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def times_of(log, less_us=0):
    """Microseconds, ascending, of a log of requests that succeeded; what else there is fails the measurement."""
    times = sorted(us - less_us for status, us in log if status == 200)
    if len(log) - len(times) > len(log) / 1000:
        raise RuntimeError(f"{len(log) - len(times)} errors in {len(log)} requests")
    return times


def wrk(rig, proxy, address, connections, lua=""):
    out, cpu, busy = cpu_of(proxy, lambda: rig.wrk(address, connections, lua))
    if out["errors"] > out["requests"] / 1000:
        raise RuntimeError(f"{out['errors']} errors in {out['requests']} requests")
    return {
        "cpu_us": cpu / out["requests"] * 1e6,
        "cpu_s_gib": cpu / (out["bytes"] / 2**30),
        "rps": out["requests"] / out["us"] * 1e6,
        "busy": busy,
        "p50_us": out["p50"],
        "p99_us": out["p99"],
        "errors": out["errors"],
    }


def http(rig, proxy):
    return wrk(rig, proxy, url(proxy, "http"), 64)


# Some half of a second.
FEW = 12_000
# Until what other threads do for these requests is done: two rounds of energy's sampler, and some.
REST_S = 0.3


def short(rig, proxy):
    """As `http`, for a moment: how little two of ours differ by shows where they take turns quickly. The noise
    of a shared machine lasts for seconds."""

    def some():
        rig.some(url(proxy, "http"), 64, FEW)
        time.sleep(REST_S)

    _, cpu, _ = cpu_of(proxy, some, on_cpu_seconds)
    return {"cpu_us": cpu / FEW * 1e6}


POST_4K = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"inputs":[{"name":"x","shape":[1,512],"datatype":"FP32","data":"' .. string.rep("0", 4000) .. '"}]}'
"""


def post(rig, proxy):
    return wrk(rig, proxy, url(proxy, "http", "/post"), 64, POST_4K)


def large(rig, proxy):
    return wrk(rig, proxy, url(proxy, "http", "/100k"), 8)


def tls(rig, proxy):
    return wrk(rig, proxy, url(proxy, "tls", scheme="https"), 64)


def there_and_back(a, b):
    """Means of two figures that are taken in turn, A B B A."""
    first, second, third, fourth = a(), b(), b(), a()
    return (first + fourth) / 2, (second + third) / 2


def rules(rig, proxy):
    """A thousand rules on one operation over one."""
    body = (rig.work / "upstream" / "chat").read_text()
    lua = f"wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = [[{body}]]\n"
    lua += "wrk.headers['X-Tenant'] = 'other'\n"

    def of(mode):
        return lambda: wrk(rig, proxy, url(proxy, mode, "/v1/chat/completions"), 64, lua)["cpu_us"]

    many, one = there_and_back(of("rules_1000"), of("rules_1"))
    return {"ratio": many / one, "cpu_us": many, "one_us": one}


def sse_openai(rig, proxy):
    """The stream through a protocol that knows it, over the one that does not."""

    def of(mode):
        return lambda: sse(mode)(rig, proxy)["cpu_us"]

    known, plain = there_and_back(of("sse_openai"), of("sse"))
    return {"ratio": known / plain, "cpu_us": known, "plain_us": plain}


def sse(mode):
    def measure(rig, proxy):
        before = int(get(UP_SSE, "/count")[1])
        path = "/v1/chat/completions"
        _, cpu, busy = cpu_of(proxy, lambda: rig.wrk(url(proxy, mode, path), 64))
        events = int(get(UP_SSE, "/count")[1]) - before
        return {"cpu_us": cpu / events * 1e6, "events": events, "busy": busy}

    return measure


def h2(rig, proxy):
    done, cpu, busy = cpu_of(proxy, lambda: rig.h2load(url(proxy, "h2"), 16, 16))
    return {"cpu_us": cpu / done * 1e6, "rps": done / rig.seconds, "busy": busy}


def grpc(rig, proxy):
    """A call of the shape of gRPC: POST, one message each way, the status in trailers."""
    extra = ["-d", str(rig.work / "upstream" / "message"), "-H", "content-type: application/grpc"]
    extra += ["-H", "te: trailers"]
    done, cpu, busy = cpu_of(proxy, lambda: rig.h2load(url(proxy, "grpc", "/grpc/infer"), 16, 16, *extra))
    return {"cpu_us": cpu / done * 1e6, "rps": done / rig.seconds, "busy": busy}


def tcp(pipeline, per_second):
    def measure(rig, proxy):
        count = per_second * rig.seconds
        argv = ["redis-benchmark", "-h", HOST, "-p", str(proxy.port("tcp")), "-P", str(pipeline)]
        argv += ["-c", "50", "-n", str(count), "-t", "get", "-d", "64", "--csv"]
        out, cpu, busy = cpu_of(proxy, lambda: rig.load(argv))
        fields = out.splitlines()[-1].replace('"', "").split(",")
        return {"cpu_us": cpu / count * 1e6, "rps": float(fields[1]), "busy": busy}

    return measure


def latency(rig, proxy):
    """At 1,000 requests a second; what the upstream takes alone, in the same pass, is taken off."""
    # h2load counts requests, not seconds: at a fixed rate it lasts as long.
    direct = times_of(rig.request_log(url(None, "http"), 8, rps=125))
    times = times_of(rig.request_log(url(proxy, "http"), 8, rps=125))
    return {f"p{q}_us": quantile(times, q / 100) - quantile(direct, q / 100) for q in (50, 90, 99)}


def delay(clients):
    """How far a delay is off: over what passing through takes at the same clients and rate. Not at the same time:
    a machine that others keep awake is not what few delayed calls meet."""

    def measure(rig, proxy):
        # A delayed client asks about 90 times a second; so the plain ones do too.
        plain = times_of(rig.request_log(url(proxy, "http"), clients, rps=90))
        times = times_of(rig.request_log(url(proxy, "delay"), clients), DELAY_MS * 1000)
        over = {f"over_p{q}_us": quantile(times, q / 100) - quantile(plain, q / 100) for q in (50, 99)}
        return {**over, "early_us": max(0, -times[0]), "plain_p99_us": quantile(plain, 0.99)}

    return measure


def mix(rig, proxy):
    rows, cpu, busy = cpu_of(proxy, lambda: rig.request_log(url(proxy, "mix"), 64))
    total = len(rows)
    aborted = sum(status == 503 for status, _ in rows) / total
    delayed = sum(us >= DELAY_MS * 900 for _, us in rows) / total
    return {"cpu_us": cpu / total * 1e6, "rps": total / rig.seconds, "busy": busy,
            "abort_percent": 100 * aborted, "delay_percent": 100 * delayed}  # fmt: skip


WEB = ("nginx", "haproxy")
OURS = ("hormesis",)


def beside(ratio, *names):
    return Bar(ratio=ratio, beside=names)


def within(limit, share=math.nan, of=""):
    return Bar(limit=limit, share=share, of=of)


def two(names):
    return tuple(f"{name}/2" for name in names)


ROWS = [
    Row("http", "HTTP/1.1, 1 KiB, pass-through", "CPU µs/request", "cpu_us", http, "http", beside(1.03, *WEB), beside(0.95, *WEB)),
    Row("post", "POST, 4 KiB", "CPU µs/request", "cpu_us", post, "http", beside(1.03, *WEB), beside(0.95, *WEB)),
    Row("h2", "HTTP/2 cleartext, 1 KiB", "CPU µs/request", "cpu_us", h2, "h2", beside(1.0, "envoy"), beside(1.0, "haproxy")),
    Row("sse", "SSE on `http`", "CPU µs/event", "cpu_us", sse("sse"), "sse", beside(1.05, *WEB), beside(1.0, *WEB)),
    Row("sse_openai", "SSE on `openai` with a rule that does not match, over `http`", "ratio", "ratio", sse_openai, "sse_openai",
        within(1.15), within(1.0), OURS, alone=True),
    Row("large", "100 KiB bodies", "CPU s/GiB", "cpu_s_gib", large, "http", beside(1.0, *WEB, "envoy"), beside(0.8, *WEB, "envoy")),
    Row("tcp_p1", "TCP before Redis, -P 1", "CPU µs/request", "cpu_us", tcp(1, 20_000), "tcp", beside(1.03, *WEB), beside(0.95, *WEB), times=3),
    Row("tcp_p16", "TCP before Redis, -P 16", "CPU µs/request", "cpu_us", tcp(16, 150_000), "tcp", beside(1.05, *WEB), beside(0.95, *WEB), times=3),
    Row("latency_p50", "added latency at 1,000 requests/s, p50", "µs", "p50_us", latency, "http",
        beside(1.1, *WEB, "envoy"), beside(1.0, *WEB, "envoy"), singly=True),
    Row("latency_p99", "added latency at 1,000 requests/s, p99", "µs", "p99_us", latency, "http",
        beside(1.1, *WEB, "envoy"), beside(1.0, *WEB, "envoy"), shares="latency_p50"),
    Row("delay_p50", "10 ms delay, 8 clients: over the pass-through p50", "µs", "over_p50_us", delay(8), "delay",
        within(100), within(50), ("haproxy", "envoy", "hormesis"), singly=True),
    Row("delay_p99", "10 ms delay, 8 clients: over the pass-through p99", "µs", "over_p99_us", delay(8), "delay",
        within(500), within(250), ("haproxy", "envoy", "hormesis"), shares="delay_p50"),
    Row("delay_early", "10 ms delay, 8 clients: the earliest answer, before 10 ms", "µs", "early_us", delay(8), "delay",
        within(0), None, ("haproxy", "envoy", "hormesis"), shares="delay_p50", worst=True),
    Row("delay_c64", "10 ms delay, 64 clients: over the pass-through p99", "µs", "over_p99_us", delay(64), "delay",
        within(500, 1.0, "plain_p99_us"), within(250, 0.5, "plain_p99_us"), ("haproxy", "envoy", "hormesis"), singly=True),
    Row("mix", "50 % × 10 ms and 10 % abort", "CPU µs/request", "cpu_us", mix, "mix",
        beside(1.0, "haproxy"), beside(0.9, "haproxy"), ("haproxy", "envoy", "hormesis")),
    Row("rules", "1,000 rules on one operation, over one", "ratio", "ratio", rules, "rules_1000", within(1.10), within(1.03), OURS, alone=True, times=3),
    Row("energy", "energy and metrics on, beside off", "CPU µs/request", "cpu_us", short, "http",
        beside(1.03, "hormesis"), beside(1.0, "hormesis"), ("hormesis", "hormesis/energy"), "hormesis/energy", times=15),
    Row("log", "decision log `fired` at 10 %, beside off", "CPU µs/request", "cpu_us", short, "http",
        beside(1.05, "hormesis/log-off"), beside(1.0, "hormesis/log-off"), ("hormesis/log-off", "hormesis/log-fired"), "hormesis/log-fired", times=15),
    Row("tls", "TLS towards clients, 1 KiB", "CPU µs/request", "cpu_us", tls, "tls", beside(1.0, "envoy"), beside(1.0, *WEB)),
    Row("grpc", "gRPC-shaped unary call", "CPU µs/call", "cpu_us", grpc, "grpc", beside(1.0, "envoy"), beside(1.0, *WEB, "envoy")),
    Row("workers_2", "HTTP/1.1, 1 KiB, 2 workers", "CPU µs/request", "cpu_us", http, "http", beside(1.03, *two(WEB)), beside(1.0, *two(WEB)),
        ("nginx/2", "haproxy/2", "envoy/2", "hormesis/2"), "hormesis/2"),
    Row("idle", "idle keep-alive connection, 1,000 → 5,000", "bytes", "bytes", memory.idle(1000, 5000), "http",
        within(4096), beside(1.0, "haproxy"), ("nginx", "haproxy", "envoy", "hormesis/bare"), "hormesis/bare", True, 1),
    Row("idle_10k", "10,000 idle connections, and after they are gone", "bytes", "bytes", memory.idle(0, 10_000), "http",
        within(4096), None, ("hormesis/bare",), "hormesis/bare", True, 1),
    Row("delayed", "delayed calls at once, beyond the connection", "bytes", "bytes", memory.delayed, "delay",
        within(4096), None, ("hormesis/delayed",), "hormesis/delayed", True, 1),
    Row("rss", "idle RSS", "MiB", "rss_mib", memory.rss, "http", within(10), None,
        ("nginx", "haproxy", "envoy", "hormesis/bare"), "hormesis/bare", True, 3),
    Row("start", "start to the first proxied request", "ms", "ms", memory.start, "http", within(10), beside(1.0, *WEB),
        ("nginx", "haproxy", "envoy", "hormesis/bare"), "hormesis/bare", True),
]  # fmt: skip
