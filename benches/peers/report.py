#!/usr/bin/env python3
"""Renders results: a Markdown table with a verdict for each bar, plots, and docs/performance.md.

    report.py out/peers.json                  the table
    report.py --write-docs out/peers.json     the table and plots into docs/performance.md
"""

import argparse
import json
import math
import statistics
from pathlib import Path

from plots import plot
from rows import ROWS

DOCS = Path(__file__).resolve().parents[2] / "docs"
BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"
PEERS = ("nginx", "haproxy", "envoy")
# Rows whose figures are drawn, by the plot they share.
PLOTS = {
    "peers-cpu": ("CPU time a request, beside the best peer", ["http", "post", "tcp_p1", "tcp_p16", "h2", "mix", "tls", "grpc"]),
    "peers-streams": ("Streams and bulk, beside the best peer", ["sse", "large"]),
}


def middle(runs, value):
    figures = [run[value] for run in runs if run and not math.isnan(run[value])]
    return statistics.median(figures) if figures else math.nan


def spread(runs, value):
    figures = [run[value] for run in runs if run]
    return min(figures), max(figures)


def over(runs, others, value):
    """How many times another's figure ours is, from what is between them in each round: what the
    machine did besides hit both. It is 1 + the median difference over the other's median."""
    pairs = [(run[value], other[value]) for run, other in zip(runs, others) if run and other]
    pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
    if 2 * len(pairs) < len(runs):
        return math.nan
    return 1 + statistics.median(a - b for a, b in pairs) / statistics.median(b for _, b in pairs)


def by_name(name):
    return next(row for row in ROWS if row.name == name)


def figure(report, row, proxy, value=""):
    """The median of one proxy on one row, or the worst, of the value that counts there or another one."""
    runs = report["rows"].get(row.name, {}).get(proxy, [])
    value = value or row.value
    return max((run[value] for run in runs if run), default=math.nan) if row.worst else middle(runs, value)


def judged(report, row, bar):
    """What the bar asks, what was reached, and whether it holds; `None` where it cannot be told."""
    ours = figure(report, row, row.ours)
    if bar is None:
        return "", "", None
    if not math.isnan(bar.limit):
        # Of the proxy that has the least of it, so that nobody is the better for being slow.
        figures = (figure(report, row, name, bar.of) for name in row.proxies if bar.of)
        least = min(filter(math.isfinite, figures), default=0)
        limit = max(bar.limit, bar.share * least if bar.of else 0)
        return f"≤ {number(limit)}", number(ours), None if math.isnan(ours) else ours <= limit
    medians = {name: figure(report, row, name) for name in bar.beside}
    best = min((name for name, it in medians.items() if not math.isnan(it)), key=medians.get, default=None)
    if best is None or math.isnan(ours) or medians[best] <= 0:
        return f"≤ {bar.ratio:g} ×", "–", None
    results = report["rows"][row.name]
    ratio = over(results[row.ours], results[best], row.value)
    if math.isnan(ratio):
        return f"≤ {bar.ratio:g} ×", "–", None
    return f"≤ {bar.ratio:g} ×", f"{ratio:.2f} ×", ratio <= bar.ratio


def number(value):
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verdict(holds):
    return {True: "holds", False: "**misses**", None: "–"}[holds]


def table(report):
    lines = [
        "| work | unit | nginx | HAProxy | Envoy | hormesis | lowest – highest | must | reached | | aim | reached | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        results = report["rows"].get(row.name)
        if not results or row.ours not in results:
            continue
        suffix = "/2" if row.ours.endswith("/2") else ""
        peers = [number(figure(report, row, name + suffix)) for name in PEERS]
        low, high = spread(results[row.ours], row.value)
        cells = [row.title, row.unit, *peers, number(figure(report, row, row.ours)), f"{number(low)} – {number(high)}"]
        for bar in (row.must, row.aim):
            asked, reached, holds = judged(report, row, bar)
            cells += [asked, reached, verdict(holds)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def caption(report):
    machine = report["machine"]
    taken = {row.name: len(report["rows"].get(row.name, {}).get(row.ours, [])) for row in ROWS if row.times > 1}
    finer = ", ".join(f"{count} of {name}" for name, count in taken.items() if count > report["rounds"])
    return (
        f"{report['rounds']} rounds of 2 × {report['seconds']} s ({finer}) on {machine['cores']} cores ({machine['cpu']}), Linux "
        f"{machine['kernel']}; medians. Ratios are to the best of the named peers, round by round."
    )


def drawings(report):
    """Name of each plot that there are figures for, its title and text."""
    for name, (title, rows) in PLOTS.items():
        groups = []
        for row in map(by_name, rows):
            bars = [(it, figure(report, row, it)) for it in (*PEERS, row.ours)]
            bars = [(who, value) for who, value in bars if not math.isnan(value)]
            peers = [value for who, value in bars if who in PEERS]
            if peers and any(who == row.ours for who, _ in bars):
                groups.append((row.title, row.unit, [(who, value, value / min(peers)) for who, value in bars]))
        if groups:
            yield name, title, plot(title, groups)


def write_docs(report):
    page = DOCS / "performance.md"
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    parts = [BEGIN, "", caption(report), "", table(report), ""]
    for name, title, svg in drawings(report):
        (DOCS / "img").mkdir(exist_ok=True)
        (DOCS / "img" / f"{name}.svg").write_text(svg)
        parts += [f"![{title}](img/{name}.svg)", ""]
    page.write_text(before + "\n".join([*parts, END]) + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--write-docs", action="store_true")
    args = parser.parse_args()
    report = json.loads(args.results.read_text())
    print(table(report))
    if args.write_docs:
        write_docs(report)


if __name__ == "__main__":
    main()
