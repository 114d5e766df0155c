#!/usr/bin/env python3
"""Compares hormesis with nginx, HAProxy and Envoy: `make bench-peers ARGS="--rounds 7"`.

A round measures every proxy of a row twice, there and back (A B C, C B A), so that what the machine
does besides hits all of them alike. Their mean counts; of times each. A row is held to its bar
beside the best peer, round by round.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from proxies import proxies
from report import table
from rig import Rig, stop
from rows import ROWS

FAILURES = (RuntimeError, OSError, ValueError, ZeroDivisionError, subprocess.SubprocessError)


def arguments():
    names = [row.name for row in ROWS if not row.shares]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="ROW", choices=names, help=", ".join(names))
    parser.add_argument("--proxies", help="comma-separated; all whose binary is found if absent")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="length of one measurement")
    parser.add_argument("--nice", type=int, default=0, help="priority of all that is started, such as -10")
    parser.add_argument("--skip", default="", help="modes that the build does not know, such as tls,h2")
    parser.add_argument("--json", type=Path, default=Path("out/peers.json"), help="results, added to what is there")
    return parser.parse_args()


def chosen(row, everyone, wanted):
    """The proxies of a row, peers first as its list has them."""
    by_name = {proxy.name: proxy for proxy in everyone}
    named = [by_name[name] for name in row.proxies if name in by_name]
    return [it for it in named if row.mode in it.modes and (not wanted or it.family in wanted)]


def averaged(passes):
    """The figures of one proxy in one round; `None` where a pass failed."""
    return None if None in passes else {key: statistics.fmean(it[key] for it in passes) for key in passes[0]}


def run_round(rig, row, rows):
    """Name → figures of this round: their mean, or those of each pass. Who comes first there comes last on the
    way back."""
    passes = {proxy.name: [] for proxy in rows}
    # One alone goes there and back by itself, and memory does not hang on the order.
    once = row.alone or row.rounds == 1
    for proxy in rows if once else [*rows, *reversed(rows)]:
        figures = None
        try:
            figures = row.measure(rig, proxy)
        except FAILURES as error:
            print(f"{row.name}: {proxy.name}: {error}", file=sys.stderr)
        passes[proxy.name].append(figures)
    return {name: figures if row.singly else [averaged(figures)] for name, figures in passes.items()}


def run_row(rig, row, rows, rounds):
    """Name → list of figures, one for each round; `None` for one that went wrong."""
    results = {proxy.name: [] for proxy in rows}
    try:
        if not row.restarts:
            for proxy in rows:
                rig.start(proxy)
            for proxy in rows:
                rig.ready(proxy)
        for _ in range(min(rounds, row.rounds or rounds) * row.times):
            for name, figures in run_round(rig, row, rows).items():
                results[name] += figures
    finally:
        for proxy in rows:
            stop(proxy.process)
            proxy.process = None
    return {name: runs for name, runs in results.items() if any(runs)}


def machine():
    cpu = next((line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if "model name" in line), "")
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release()}


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    everyone = proxies([mode for mode in args.skip.split(",") if mode])
    wanted = args.proxies.split(",") if args.proxies else []
    if not any(proxy.family == "hormesis" for proxy in everyone):
        print("no hormesis: build it, or name it in HORMESIS_BIN", file=sys.stderr)
        return 2
    report = json.loads(args.json.read_text()) if args.json.exists() else {"rows": {}}
    report |= {"machine": machine(), "rounds": args.rounds, "seconds": args.seconds}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="peers-") as work:
        os.chmod(work, 0o755)  # nginx' worker gives up root
        rig = Rig(Path(work), args.seconds, args.nice)
        try:
            rig.start_upstreams()
            for row in ROWS:
                rows = chosen(row, everyone, wanted)
                if row.shares:
                    if not args.only or row.shares in args.only:
                        report["rows"][row.name] = report["rows"].get(row.shares, {})
                elif rows and (not args.only or row.name in args.only):
                    try:
                        results = run_row(rig, row, rows, args.rounds)
                    except FAILURES as error:
                        print(f"{row.name}: {error}", file=sys.stderr)
                        continue
                    report["rows"][row.name] = results
                    args.json.write_text(json.dumps(report, indent=1))
                    seconds = time.monotonic() - begun
                    print(f"{seconds:5.0f} s  {row.name}", file=sys.stderr, flush=True)
        finally:
            rig.stop_all(everyone)
    print(table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
