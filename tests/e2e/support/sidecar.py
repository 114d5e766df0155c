"""`hormesis run FILE` as users start it: a file, a process, its log and its admin listener."""

import contextlib
import json
import os
import re
from pathlib import Path

from support.net import HOST, call, free_port, wait_until
from support.process import Child


def config(rules="", *, upstream, protocol="http", listener=None, admin=None, scheme=None, top="", listener_keys="", upstream_keys="", log="all", log_file="decisions.jsonl", workers=1, seed=7):
    """The configuration of one listener `main` before one upstream `up`."""
    scheme = scheme or ("tcp" if protocol == "tcp" else "http")
    admin_bind = f"{HOST}:{admin}" if admin else "off"
    return f"""seed = {seed}
workers = {workers}
{top}
[admin]
bind = "{admin_bind}"

[log]
decisions = "{log}"
file = "{log_file}"

[upstreams.up]
endpoints = ["{scheme}://{HOST}:{upstream}"]
{upstream_keys}

[listeners.main]
bind = "{HOST}:{listener}"
protocol = "{protocol}"
upstream = "up"
{listener_keys}

{rules}
"""


class Sidecar:
    def __init__(self, binary, directory: Path, rules="", wrap=(), **options):
        """`wrap`: what the program is started by, such as a shell that makes a namespace first."""
        self.port, self.admin = free_port(), free_port()
        self.decisions_file = options.setdefault("log_file", directory / f"decisions-{self.port}.jsonl")
        self.file = directory / f"hormesis-{self.port}.toml"
        self.file.write_text(
            config(rules, listener=self.port, admin=self.admin, **options)
        )
        # Where the command line looks for the token of its admin listener.
        self.runtime = directory / "runtime"
        self.runtime.mkdir(exist_ok=True)
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(self.runtime)}
        self.child = Child([*wrap, binary, "run", self.file], directory / f"hormesis-{self.port}.log", env=environment)

    def ready(self):
        def up():
            if not self.child.running:
                raise RuntimeError(f"ended with {self.child.process.returncode} before it was ready")
            with contextlib.suppress(OSError):
                # Not by a connection to the listener: on tcp that would be a call.
                return self.get("/readyz").status == 200
            return False

        wait_until(up, what="hormesis ready")
        return self

    # --- the data path ---

    def call(self, *args, **keys):
        return call(self.port, *args, **keys)

    # --- the admin listener ---

    def get(self, path, fields=(), host=None):
        return call(self.admin, "GET", path, fields=fields, host=host or f"{HOST}:{self.admin}", timeout=10)

    def token(self):
        return (self.runtime / "hormesis" / f"{HOST}:{self.admin}.token").read_text().strip()

    def send(self, method, path, body=None, token=None):
        """A change, with the token that was made at start where none is given."""
        fields = [("Content-Type", "application/json"), ("Authorization", f"Bearer {token or self.token()}")]
        data = json.dumps(body if body is not None else {}).encode()
        return call(self.admin, method, path, fields=fields, body=data, host=f"{HOST}:{self.admin}", timeout=10)

    def post(self, path, body=None, fields=None, host=None):
        """As anybody on this machine; with the token where nothing else is said of the request."""
        if fields is None and host is None:
            return self.send("POST", path, body)
        data = json.dumps(body if body is not None else {}).encode()
        fields = fields if fields is not None else [("Content-Type", "application/json")]
        return call(self.admin, "POST", path, fields=fields, body=data, host=host or f"{HOST}:{self.admin}", timeout=10)

    def metrics(self):
        """All samples as (name, labels, value)."""
        text = self.get("/metrics").body.decode()
        found = []
        for line in text.splitlines():
            if match := re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \S+)?", line):
                name, labels, value = match.groups()
                pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
                found.append((name, dict(pairs), float(value)))
        return found

    def metric(self, name, **labels):
        """The sum of all samples of `name` that carry these labels."""
        wanted = labels.items()
        return sum(value for found, has, value in self.metrics() if found == name and wanted <= has.items())

    # --- the decision log ---

    def decisions(self):
        """All whole lines so far that tell of calls."""
        if not self.decisions_file.exists():
            return []
        text = self.decisions_file.read_text()
        lines = text[: text.rfind("\n") + 1].splitlines()
        return [record for record in map(json.loads, lines) if record["kind"] == "call"]

    def wait_decisions(self, count, timeout=15.0):
        def enough():
            found = self.decisions()
            return found if len(found) >= count else None

        return wait_until(enough, timeout, f"{count} lines in the decision log", pause=0.05)

    # --- the end ---

    def stop(self):
        self.child.stop()


def hits(record) -> list:
    """Names of the rules that hit this call."""
    return [rule["rule"] for rule in record["rules"] if rule["verdict"] == "hit"]


def applied(record) -> list:
    """(rule, fault) of the effects that acted."""
    return [(e["rule"], e["fault"]) for e in record["effects"] if e["fate"] == "applied"]


def by_path(records) -> dict:
    """path → record; for tests that give each call a path of its own."""
    return {record["path"]: record for record in records}
