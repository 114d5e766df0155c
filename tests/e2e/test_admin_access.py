"""Who may do what on the admin listener, and that it answers as its OpenAPI document says."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.needs import lacking
from support.net import HOST, wait_until

RULES = """
[[rules]]
name = "slow"
[[rules.faults]]
delay = { at = "response-head", fixed = "1ms" }
"""
# What the document says of every operation: no 5xx, no status, type or form of an answer that is not in it.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"


def test_every_answer_is_one_that_the_document_tells(sidecar, upstream, tmp_path):
    it = sidecar(RULES, upstream=upstream.port, top=f"state_dir = '{tmp_path / 'state'}'")
    (tmp_path / "schemathesis").mkdir()
    argv = [Path(sys.executable).with_name("schemathesis"), "run", f"http://{HOST}:{it.admin}/openapi.json"]
    argv += ["--header", f"Authorization: Bearer {it.token()}", "--checks", CHECKS]
    # Has no end; tests/admin/follow.rs reads it.
    argv += ["--exclude-path", "/decisions"]
    argv += ["--max-examples", "40", "--seed", "7", "--request-timeout", "10", "--no-color"]
    done = subprocess.run(
        list(map(str, argv)), cwd=tmp_path / "schemathesis", capture_output=True, text=True, timeout=240, check=False
    )
    print(done.stdout[-12_000:], done.stderr[-4000:])
    assert done.returncode == 0
    assert it.child.running
    assert it.get("/healthz").status == 200


def test_the_audit_log_tells_who_was_refused_and_its_chain_is_verified(sidecar, upstream, tmp_path, binary):
    state = tmp_path / "state"
    it = sidecar(RULES, upstream=upstream.port, top=f"state_dir = '{state}'")
    assert it.send("POST", "/resume", token="x" * 43).status == 401
    assert it.post("/resume", fields=[("Content-Type", "application/json")]).status == 401
    assert it.post("/resume", fields=[("Content-Type", "text/plain")]).status == 415
    assert it.get("/status", fields=[("Origin", "http://evil.example")]).status == 403
    assert it.send("POST", "/resume").status == 200
    log = state / "audit.jsonl"
    wait_until(lambda: '"changed"' in log.read_text(), what="the audit log")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["status"] for line in lines if "status" in line] == [401, 401, 415, 403, 200]
    verify = [binary, "audit", "verify", log]
    whole = subprocess.run(verify, capture_output=True, text=True, timeout=20, check=False)
    assert whole.returncode == 0 and "unbroken" in whole.stdout, whole
    it.stop()
    log.write_text(log.read_text().replace('"status":401', '"status":200', 1))
    changed = subprocess.run(verify, capture_output=True, text=True, timeout=20, check=False)
    assert changed.returncode == 1 and "was changed" in changed.stdout, changed


def test_an_exposed_admin_listener_is_refused_with_its_place(binary, tmp_path):
    file = tmp_path / "exposed.toml"
    file.write_text("""[admin]
bind = "0.0.0.0:9901"
[upstreams.up]
endpoints = ["http://127.0.0.1:1"]
[listeners.main]
bind = "127.0.0.1:0"
upstream = "up"
""")
    done = subprocess.run([binary, "check", file], capture_output=True, text=True, timeout=20, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 2
    assert "exposed.toml:2:8" in told and "reachable from other machines" in told and "tls" in told, told


@pytest.fixture
def namespace():
    """A network namespace of its own, joined to ours by a pair of devices: its name and our address in it."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        lacking("only root with iproute2 can make a network namespace")
    name, ours, theirs = f"hz{os.getpid()}", f"hzo{os.getpid()}", f"hzt{os.getpid()}"
    steps = [
        f"ip netns add {name}",
        f"ip link add {ours} type veth peer name {theirs}",
        f"ip link set {theirs} netns {name}",
        f"ip addr add 10.231.77.1/30 dev {ours}",
        f"ip link set {ours} up",
        f"ip netns exec {name} ip addr add 10.231.77.2/30 dev {theirs}",
        f"ip netns exec {name} ip link set {theirs} up",
    ]
    try:
        for step in steps:
            done = subprocess.run(step.split(), capture_output=True, text=True, check=False)
            if done.returncode:
                lacking(f"no network namespace here: {step}: {done.stderr}")
        yield name, "10.231.77.1"
    finally:
        subprocess.run(["ip", "link", "del", ours], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def test_prometheus_in_another_network_namespace_scrapes_health(sidecar, upstream, namespace, tmp_path):
    prometheus = shutil.which("prometheus")
    if not prometheus:
        lacking("prometheus is not installed")
    name, address = namespace
    it = sidecar(RULES, upstream=upstream.port, top='[health]\nbind = "0.0.0.0:19902"')
    config = tmp_path / "prometheus.yml"
    config.write_text(f"""global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: hormesis
    static_configs: [{{ targets: ["{address}:19902"] }}]
""")
    inside = ["ip", "netns", "exec", name]
    subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
    server = subprocess.Popen(
        [*inside, prometheus, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}", "--web.listen-address=127.0.0.1:9090"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9090/api/v1/query?query={}', timeout=3).read().decode())"

    def asked(query):
        done = subprocess.run([*inside, sys.executable, "-c", ask.format(query)], capture_output=True, text=True, timeout=20, check=False)
        return json.loads(done.stdout)["data"]["result"] if done.returncode == 0 else []

    try:
        wait_until(lambda: any(s["value"][1] == "1" for s in asked("up")), 60, "a scrape", pause=0.5)
        assert asked("hormesis_build_info")
        # Nothing of faults, and nothing else of the admin API.
        assert asked("hormesis_rule_armed") == []
        for path in ("status", "rules", "halt"):
            code = f"import urllib.request as r; r.urlopen('http://{address}:19902/{path}', timeout=3)"
            refused = subprocess.run([*inside, sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
            assert "404" in refused.stderr, refused.stderr
        # The admin listener itself is out of reach from there.
        code = f"import socket; socket.create_connection(('{address}', {it.admin}), 3)"
        assert subprocess.run([*inside, sys.executable, "-c", code], capture_output=True, timeout=20, check=False).returncode
    finally:
        server.terminate()
        server.wait(20)
