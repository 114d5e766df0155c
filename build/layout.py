#!/usr/bin/env python3
"""Writes build/layout.ld: which functions a start and a first call run, as valgrind saw them.

    layout.py BINARY     an optimised build with symbols: `make layout` builds it

Names are written without their hash, which compilers, checkouts and profiles change; so others of the
same name come along, and those names that bring the most come last. Names that no longer exist match
nothing: the layout ages, and stays right.
"""

import http.client
import http.server
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

LAYOUT = Path(__file__).with_name("layout.ld")
# Bytes of functions that are not run which a name brings along: up to the first it is among the
# dense ones, beyond the second it is left out.
DENSE_BYTES, MOST_BYTES = 2 << 10, 64 << 10
START_S = 60
HEADER = """/* Written by build/layout.py (`make layout`): the functions that a start and a first call run. */
SECTIONS
{
  .text.hot :
  {
"""
FOOTER = """  }
}
INSERT BEFORE .text;
"""


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"x" * 1024
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
    connection.request("GET", path)
    assert connection.getresponse().read()
    connection.close()


def executed(binary):
    """Names of the functions that ran from the start to the first answer."""
    with tempfile.TemporaryDirectory() as where, http.server.HTTPServer(("127.0.0.1", 0), Upstream) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config, out = Path(where, "hormesis.toml"), Path(where, "out")
        upstream = f"http://127.0.0.1:{server.server_port}"
        config.write_text(
            'workers = 1\n[admin]\nbind = "127.0.0.1:0"\n[limits]\nconnections = 1000\nkeep_alive = "1m"\n'
            f'[upstreams.u]\nendpoints = ["{upstream}"]\n[listeners.l]\nbind = "127.0.0.1:0"\nupstream = "u"\n'
            '[[rules]]\nname = "slow"\nselect = { path = "/slow" }\nfaults = [{ delay = { fixed = "1ms" } }]\n'
        )
        tool = ["valgrind", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={out}"]
        sidecar = subprocess.Popen([*tool, binary, "run", config], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            port = None
            for line in sidecar.stderr:
                if found := re.search(r"listening listener=l address=127\.0\.0\.1:(\d+)", line):
                    port = int(found[1])
                if port and "admin listening" in line:
                    break
            for path in ("/", "/slow"):
                ask(port, path)
            time.sleep(1)
            subprocess.run(["callgrind_control", "-d", str(sidecar.pid)], check=True, stdout=subprocess.DEVNULL)
            time.sleep(1)
        finally:
            sidecar.terminate()
            sidecar.communicate(timeout=START_S)
            server.shutdown()
        # The first dump: what follows it is the end.
        text = Path(f"{out}.1").read_text()
    names = dict(re.findall(r"^c?fn=\((\d+)\) (\S+)", text, re.MULTILINE))
    return {names[it] for it in re.findall(r"^fn=\((\d+)\)", text, re.MULTILINE)}


def pattern(name):
    """The name without what another compiler or checkout would hash anew."""
    name = re.sub(r"17h[0-9a-f]{16}E", "17h*E", name)
    name = re.sub(r"(?<=Cs)[0-9a-zA-Z]+_", "*_", name) if name.startswith("_R") else name
    return re.sub(r"(\.llvm)?\.\d+$", "*", name)


def main():
    binary = sys.argv[1]
    ran = {re.sub(r"'\d+$", "", name) for name in executed(binary)}
    sizes = {}
    listed = subprocess.run(["nm", "--print-size", "--defined-only", binary], check=True, capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[2] in "tTwW" and fields[3].startswith(("_ZN", "_R", "main")):
            sizes[fields[3]] = int(fields[1], 16)
    ran &= sizes.keys()
    spare = {}
    for name, size in sizes.items():
        if name not in ran:
            spare[pattern(name)] = spare.get(pattern(name), 0) + size
    kept = {it for it in map(pattern, ran) if spare.get(it, 0) <= MOST_BYTES}
    ordered = sorted(kept, key=lambda it: (spare.get(it, 0) > DENSE_BYTES, it))
    # Compilers put what is marked cold apart, and a start runs some of that too.
    text = HEADER + "".join(f"    *(.text.{name} .text.unlikely.{name})\n" for name in ordered) + FOOTER
    LAYOUT.write_text(text)
    brought = sum(spare.get(it, 0) for it in kept)
    print(f"{len(ran)} functions, {sum(sizes[it] for it in ran) >> 10} KiB, by {len(kept)} names, which bring along", end=" ")
    print(f"{brought >> 10} KiB")


if __name__ == "__main__":
    main()
