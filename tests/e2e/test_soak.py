"""A while under load with faults and reloads: nothing grows, and nothing is left behind.

`HORMESIS_SOAK=300` makes it the long run; the suite's own is shorter.
"""

import json
import os
import random
import signal
import threading
import time

import pytest

from support.net import Connection, head, wait_until
from support.process import descriptors, resident, threads
from support.sidecar import config

SECONDS = float(os.environ.get("HORMESIS_SOAK", 12))
BETWEEN = min(10.0, SECONDS / 6)
MIB = 1 << 20
FAULTS = [
    'delay = { uniform = { min = "1ms", max = "20ms" } }',
    "abort = { status = 503 }",
    'disconnect = { at = { byte = 100 }, how = "rst" }',
    'throttle = { bytes_per_second = "4MiB" }',
    'truncate = { at = { byte = 500 }, length = "fix" }',
    'corrupt = { random = "1%" }',
    'stall = { at = "response-head", for = "20ms" }',
    'delay = { at = "first-token", fixed = "5ms" }',
]


def rules(generation):
    text = ""
    for number, fault in enumerate(FAULTS):
        text += f'[[rules]]\nname = "f{number}"\nprobability = "{2 + generation % 3}%"\n'
        text += f"limits = {{ concurrent = 4 }}\n[[rules.faults]]\n{fault}\n"
    return text


class Load:
    """Clients that call, stream, and leave in the middle, until they are told to stop."""

    def __init__(self, port):
        self.port, self.over = port, threading.Event()
        self.counts = {"whole": 0, "broken": 0, "left": 0}
        self.threads = [threading.Thread(target=self.client, args=(number,)) for number in range(6)]
        for thread in self.threads:
            thread.start()

    def client(self, number):
        source, connection = random.Random(number), None
        while not self.over.is_set():
            connection = connection or Connection(self.port)
            try:
                answer = self.call(source, connection)
            except OSError:
                answer = None
            if answer == "left":
                kind = "left"
            else:
                kind = "whole" if answer and answer.complete else "broken"
            self.counts[kind] += 1
            if kind != "whole" or (answer.header("connection") or "").lower() == "close":
                connection.close()
                connection = None
            time.sleep(0.002)
        if connection:
            connection.close()

    def call(self, source, connection):
        pick = source.random()
        if pick < 0.5:
            return connection.request("POST", "/echo", body=source.randbytes(source.randrange(20_000)))
        if pick < 0.7:
            return connection.request("GET", f"/chunked/{source.randrange(200_000)}?step=997")
        body = json.dumps({"model": "m", "stream": True, "messages": []}).encode()
        fields = [("Content-Type", "application/json"), ("X-Events", "10"), ("X-Gap-Ms", "2")]
        if pick < 0.95:
            return connection.request("POST", "/v1/chat/completions", fields=fields, body=body)
        connection.send(head("POST", "/v1/chat/completions", fields, body) + body)
        connection.receive()
        return "left"

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.heavy
@pytest.mark.timeout(SECONDS * 2 + 120)
def test_a_while_with_faults_and_reloads_leaves_nothing_behind(sidecar, upstream):
    options = {"upstream": upstream.port, "protocol": "openai", "log": "fired", "workers": 2}
    it = sidecar(rules(0), **options)
    pid = it.child.pid

    def quiet():
        gauges = ("hormesis_active_calls", "hormesis_open_connections", "hormesis_rule_active_calls")
        return all(it.metric(name) == 0 for name in gauges)

    def reload(number):
        keys = {"listener": it.port, "admin": it.admin, "log_file": it.decisions_file}
        it.file.write_text(config(rules(number), **keys, **options))
        it.child.signal(signal.SIGHUP)
        ok = lambda: it.metric("hormesis_config_reloads_total", result="ok") >= number  # noqa: E731
        wait_until(ok, what=f"reload {number}")

    # Threads that are started on demand and kept are started once.
    load = Load(it.port)
    time.sleep(BETWEEN)
    reload(1)
    load.stop()
    wait_until(quiet, 10, "nothing under way")
    time.sleep(0.2)
    baseline, start, samples, generation = (descriptors(pid), threads(pid)), time.monotonic(), [], 1
    load = Load(it.port)
    try:
        while time.monotonic() - start < SECONDS:
            time.sleep(BETWEEN)
            generation += 1
            reload(generation)
            samples.append((time.monotonic() - start, resident(pid)["VmRSS"]))
    finally:
        load.stop()
    wait_until(quiet, 5, "nothing under way within 5 s")
    # Connections to the upstream are kept for 4 s.
    near = lambda: abs(descriptors(pid) - baseline[0]) <= 5 and abs(threads(pid) - baseline[1]) <= 5  # noqa: E731
    wait_until(near, 5, "descriptors and threads back within 5 s")
    late = samples[len(samples) // 3 :]
    grown = (late[-1][1] - late[0][1]) / MIB
    print(f"{load.counts}, {generation} reloads, RSS {[round(rss / MIB, 1) for _, rss in samples]} MiB")
    print(f"{grown:+.2f} MiB in {late[-1][0] - late[0][0]:.0f} s; {descriptors(pid)} descriptors, {threads(pid)} threads")
    assert load.counts["whole"] > 100 and load.counts["broken"] and load.counts["left"]
    assert it.metric("hormesis_faults_total") > 0
    assert grown < 4
