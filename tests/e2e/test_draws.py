"""Which calls are hit: the right share, and the same ones whatever the load looks like."""

import math

import pytest

from support.net import HOST
from support.numbered import hit_numbers
from support.sidecar import hits

TENTH = """
[[rules]]
name = "tenth"
probability = "10%"
[[rules.faults]]
abort = { status = 503 }
"""
STICKY = TENTH.replace('probability = "10%"', 'probability = "10%"\nkey = { header = "x-call" }')
# Another rule before it, and one after it, that hit other calls and change no answer.
AMONG_OTHERS = """
[[rules]]
name = "before"
probability = "37%"
[[rules.faults]]
delay = { fixed = "1ms" }
""" + STICKY + """
[[rules]]
name = "after"
probability = 0.5
[[rules.faults]]
delay = { fixed = "1ms" }
"""
# One thread, so that one state counts all.
WRK = """
init = function() refused, other = 0, 0 end
response = function(status)
  if status == 503 then refused = refused + 1 elseif status ~= 200 then other = other + 1 end
end
setup = function(thread) only = thread end
done = function(summary)
  io.write(string.format("counted %d %d %d\\n", summary.requests, only:get("refused"), only:get("other")))
end
"""


@pytest.mark.heavy
def test_a_hundred_thousand_calls_at_ten_percent(sidecar, nginx, run_tool, tmp_path):
    it = sidecar(TENTH, upstream=nginx, workers=2, log="fired")
    script = tmp_path / "count.lua"
    script.write_text(WRK)
    answered = refused = open_at_end = 0
    for _ in range(12):
        out = run_tool("wrk", "-t1", "-c64", "-d6s", "--timeout", "20s", "-s", script, f"http://{HOST}:{it.port}/item")
        assert "Socket errors" not in out, out
        counted = next(line for line in out.splitlines() if line.startswith("counted"))
        calls, hit, other = map(int, counted.split()[1:])
        assert other == 0
        answered, refused, open_at_end = answered + calls, refused + hit, open_at_end + 64
        if answered >= 100_000:
            break
    assert answered >= 100_000
    sigma = math.sqrt(answered * 0.1 * 0.9)
    assert abs(refused - answered * 0.1) <= 4 * sigma, (refused, answered, sigma)

    # The counters tell the same, but for the calls that wrk left open when it stopped.
    injected = it.metric("hormesis_calls_total", listener="main", origin="injected")
    total = it.metric("hormesis_calls_total", listener="main")
    assert refused <= injected <= refused + open_at_end
    assert answered <= total <= answered + open_at_end


def test_the_same_numbers_draw_the_same(sidecar, upstream):
    """Without a key a call's number on its listener is its identity: two serial runs agree."""
    runs = [hit_numbers(sidecar(TENTH, upstream=upstream.port).port, 1000, 1) for _ in range(2)]
    assert runs[0] == runs[1]
    assert 60 <= len(runs[0]) <= 140


@pytest.mark.heavy
def test_keyed_by_a_header_the_same_calls_are_hit_at_any_concurrency(sidecar, nginx):
    count = 5000
    expected = None
    for workers in (1, 2):
        for connections in (1, 2, 64):
            it = sidecar(STICKY, upstream=nginx, workers=workers, log="off")
            hit = hit_numbers(it.port, count, connections)
            expected = expected or hit
            assert hit == expected, (workers, connections)
            it.stop()
    assert abs(len(expected) - count * 0.1) <= 4 * math.sqrt(count * 0.09)


def test_another_rule_moves_no_hit(sidecar, nginx):
    count = 2000
    alone, among = sidecar(STICKY, upstream=nginx), sidecar(AMONG_OTHERS, upstream=nginx)
    assert hit_numbers(alone.port, count, 1) == hit_numbers(among.port, count, 1)

    def numbers(it, rule):
        return {record["number"] for record in it.wait_decisions(count) if rule in hits(record)}

    assert numbers(alone, "tenth") == numbers(among, "tenth")
    before, after = numbers(among, "before"), numbers(among, "after")
    assert before and after and before != after


def test_another_seed_hits_others(sidecar, nginx):
    first = hit_numbers(sidecar(STICKY, upstream=nginx).port, 1000, 1)
    other = hit_numbers(sidecar(STICKY, upstream=nginx, seed=8).port, 1000, 1)
    assert first and other and first != other


def test_probability_zero_is_no_rule(sidecar, nginx):
    it = sidecar(TENTH.replace('"10%"', "0"), upstream=nginx)
    assert hit_numbers(it.port, 500, 4) == set()
    assert all(not record["effects"] for record in it.wait_decisions(500))
