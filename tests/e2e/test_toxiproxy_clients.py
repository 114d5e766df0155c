"""Clients of Toxiproxy that nobody here wrote, unchanged, against `hormesis toxiproxy`."""

import http.client
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toxiproxy import Toxiproxy as Client
from toxiproxy.api import APIConsumer

from support.net import HOST, accepts, free_port
from support.toxiproxy import Echo, Toxiproxy

HERE = Path(__file__).parent


@pytest.fixture
def server(binary, tmp_path):
    it = Toxiproxy(binary, tmp_path)
    yield it
    it.stop()
    print(it.child.tail())


def test_the_test_suite_of_toxiproxy_python_passes(binary):
    """Its ports are fixed, so it gets a network of its own; where that cannot be had, those ports must be free."""
    isolated = ["unshare", "--net", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode:
        isolated = []
        if any(map(accepts, (8474, 22222, 22223, 43215))):
            pytest.skip("no network namespace can be made here, and a port of the suite is taken")
    suite = HERE / "vendor" / "toxiproxy_python"
    argv = [*isolated, sys.executable, HERE / "support" / "namespace.py", binary, suite]
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=150, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "25 passed" in done.stdout


def test_toxiproxy_python_populates_and_resets(server):
    """What its own suite leaves out."""
    client = Client()
    client.update_api_consumer(HOST, server.port)
    try:
        made = client.populate([{"name": name, "upstream": f"{HOST}:1", "listen": f"{HOST}:0"} for name in "abc"])
        assert [proxy.name for proxy in made] == ["a", "b", "c"]
        for kind in ("latency", "bandwidth", "slow_close", "timeout", "reset_peer", "limit_data"):
            made[0].add_toxic(type=kind, toxicity=0.5)
        made[0].add_toxic(type="slicer", attributes={"average_size": 10}, stream="upstream")
        assert sorted(made[0].toxics()) == [
            "bandwidth_downstream",
            "latency_downstream",
            "limit_data_downstream",
            "reset_peer_downstream",
            "slicer_upstream",
            "slow_close_downstream",
            "timeout_downstream",
        ]
        made[1].disable()
        assert client.reset() is True
        assert made[0].toxics() == {}
        assert client.get_proxy("b").enabled is True
        client.destroy_all()
        assert client.proxies() == {}
    finally:
        client.update_api_consumer("127.0.0.1", 8474)
        assert APIConsumer.port == 8474


def experiment(server, proxy_port, method):
    """Calls through the proxy are answered within 2 s: does that hold while `method` acts?"""
    toxiproxy = {"type": "python", "module": "chaostoxi.proxy.actions", "func": "reset"}
    return {
        "version": "1.0.0",
        "title": "What if the way to the model is slow?",
        "description": "Through hormesis in the place of Toxiproxy.",
        "configuration": {"toxiproxy_host": HOST, "toxiproxy_port": server.port},
        "steady-state-hypothesis": {
            "title": "The model answers",
            "probes": [
                {
                    "type": "probe",
                    "name": "proxy-exists",
                    "tolerance": True,
                    "provider": {
                        "type": "python",
                        "module": "chaostoxi.proxy.probes",
                        "func": "proxy_exist",
                        "arguments": {"proxy_name": "model"},
                    },
                },
                {
                    "type": "probe",
                    "name": "answers",
                    "tolerance": 200,
                    "provider": {"type": "http", "url": f"http://{HOST}:{proxy_port}/", "timeout": 2},
                },
            ],
        },
        "method": [{"type": "action", "name": "break", "provider": method}],
        "rollbacks": [{"type": "action", "name": "reset", "provider": toxiproxy}],
    }


def toxic(function, **arguments):
    return {
        "type": "python",
        "module": "chaostoxi.toxic.actions",
        "func": function,
        "arguments": {"for_proxy": "model", "toxic_name": "t", **arguments},
    }


def chaos(tmp_path, server, proxy_port, method):
    """Runs an experiment to its end; exit code and journal."""
    file = tmp_path / "experiment.json"
    file.write_text(json.dumps(experiment(server, proxy_port, method)))
    program = Path(sys.executable).with_name("chaos")
    argv = [program, "--no-version-check", "run", "--rollback-strategy=always", file]
    env = {**os.environ, "HOME": str(tmp_path), "CHAOSTOOLKIT_TELEMETRY": "0"}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path, env=env)
    print(done.stdout, done.stderr)
    return done.returncode, json.loads((tmp_path / "journal.json").read_text())


def test_chaostoolkit_runs_an_experiment_that_holds(server, nginx, tmp_path):
    port = server.create("model", nginx)
    code, journal = chaos(tmp_path, server, port, toxic("create_latency_toxic", latency=300, jitter=0))
    assert (code, journal["status"], journal["deviated"]) == (0, "completed", False)
    before, after = (
        state["probes"][1]["duration"] for state in (journal["steady_states"]["before"], journal["steady_states"]["after"])
    )
    assert after >= 0.3 > before
    # Rolled back.
    assert server.ask("GET", "/proxies/model/toxics") == []


def test_chaostoolkit_runs_an_experiment_that_deviates(server, nginx, tmp_path):
    port = server.create("model", nginx)
    code, journal = chaos(tmp_path, server, port, toxic("create_timeout_toxic", timeout=0))
    assert code == 1
    assert journal["deviated"] is True
    assert server.ask("GET", "/proxies/model/toxics") == []
    # A connection from before the rollback was closed; a new one is answered.
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_noxious_client_drives_it(server):
    cargo = shutil.which("cargo") or pytest.skip("cargo is not installed")
    if not shutil.which("pkg-config") or subprocess.run(["pkg-config", "openssl"], check=False).returncode:
        pytest.skip("libssl-dev and pkg-config are not installed: noxious-client links OpenSSL")
    upstream = Echo()
    folder = HERE.parent / "noxious"
    argv = [cargo, "run", "--locked", "--quiet", "--manifest-path", folder / "Cargo.toml", "--", server.url, upstream.port]
    env = {**os.environ, "CARGO_TARGET_DIR": str(HERE.parent.parent / "target" / "noxious")}
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=880, check=False, env=env)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "all as it should be" in done.stdout
    upstream.stop()


def test_the_command_line_is_there_by_its_own_name(binary, server, tmp_path):
    link = tmp_path / "toxiproxy-cli"
    link.symlink_to(binary)
    env = {**os.environ, "TOXIPROXY_URL": server.url}

    def cli(*words):
        return subprocess.run([link, *words], capture_output=True, text=True, timeout=20, check=True, env=env).stdout

    port = free_port()
    cli("create", "--listen", f"{HOST}:{port}", "--upstream", f"{HOST}:1", "model")
    assert cli("list") == f"model\t{HOST}:{port}\t{HOST}:1\tenabled\t0\n"
    cli("toxic", "add", "--type", "latency", "--attribute", "latency=100", "model")
    assert "attributes=[\tjitter=0\tlatency=100\t]" in cli("inspect", "model")
    cli("delete", "model")
    assert not accepts(port)
