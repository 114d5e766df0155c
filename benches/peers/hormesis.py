"""Hormesis' own configurations: the plain one, and those that differ in one thing from it."""

import dataclasses

from rig import (
    DELAY_MS,
    HOST,
    MIX_ABORT_PERCENT,
    MIX_DELAY_PERCENT,
    MODES,
    UP_GRPC,
    UP_H2C,
    UP_HTTP,
    UP_REDIS,
    UP_SSE,
    certificate,
)

HTTP = f"http://{HOST}:{UP_HTTP}"
# Mode → protocol and upstream.
LISTENERS = {
    "http": ("http", HTTP),
    "h2": ("http", f"h2c://{HOST}:{UP_H2C}"),
    "tcp": ("tcp", f"tcp://{HOST}:{UP_REDIS}"),
    "delay": ("http", HTTP),
    "mix": ("http", HTTP),
    "sse": ("http", f"http://{HOST}:{UP_SSE}"),
    "sse_openai": ("openai", f"http://{HOST}:{UP_SSE}"),
    "rules_1": ("openai", HTTP),
    "rules_1000": ("openai", HTTP),
    "tls": ("http", HTTP),
    "grpc": ("http", f"h2c://{HOST}:{UP_GRPC}"),
}
MANY_RULES = 1000


@dataclasses.dataclass
class Variant:
    base: int
    modes: set
    extra: str = ""
    delay: str = f"{DELAY_MS}ms"
    workers: int = 1

    def files(self, where):
        return {"hormesis.toml": self.text(where)}

    def text(self, where):
        admin = self.base + MODES["admin"]
        text = f'workers = {self.workers}\nseed = 1\n[admin]\nbind = "{HOST}:{admin}"\n'
        for mode, (protocol, endpoint) in LISTENERS.items():
            if mode not in self.modes:
                continue
            text += f'[upstreams.{mode}]\nendpoints = ["{endpoint}"]\n'
            text += f'[listeners.{mode}]\nbind = "{HOST}:{self.base + MODES[mode]}"\n'
            text += f'protocol = "{protocol}"\nupstream = "{mode}"\n'
            if mode == "tls":
                cert, key = certificate(where)
                text += f'tls = {{ cert = "{cert}", key = "{key}" }}\n'
        for mode in sorted(self.modes):
            text += RULES.get(mode, "").replace(f"{DELAY_MS}ms", self.delay)
        return text + self.extra.format(dir=where)


def rule(name, listener, fault, share=100, select=""):
    text = f'[[rules]]\nname = "{name}"\nlistener = "{listener}"\nfaults = [{{ {fault} }}]\n'
    if share < 100:
        text += f'probability = "{share}%"\n'
    return text + (f"select = {{ {select} }}\n" if select else "")


DELAY = f'delay = {{ fixed = "{DELAY_MS}ms" }}'
ABORT = "abort = { status = 503 }"


def many_rules(listener, count):
    """On one operation, differing by header, model and body; none of them hits what is asked."""
    kinds = (
        'operation = "chat.completions", headers = {{ x-tenant = "t{n}" }}',
        'operation = "chat.completions", model = "other-{n}"',
        'operation = "chat.completions", body = {{ "/options/tier" = "gold-{n}" }}',
    )
    return "".join(
        rule(f"{listener}-{n}", listener, ABORT, select=kinds[n % len(kinds)].format(n=n)) for n in range(count)
    )


RULES = {
    "delay": rule("delay", "delay", DELAY),
    "mix": rule("mix-delay", "mix", DELAY, MIX_DELAY_PERCENT)
    + rule("mix-abort", "mix", ABORT, MIX_ABORT_PERCENT),
    # It selects other calls than the stream that is asked for.
    "sse_openai": rule("other", "sse_openai", ABORT, select='operation = "embeddings"'),
    # The one rule looks into the body too.
    "rules_1": rule("one", "rules_1", ABORT, select='operation = "chat.completions", body = { "/options/tier" = "gold" }'),
    "rules_1000": many_rules("rules_1000", MANY_RULES),
}

ENERGY = "[energy]\nmeters = [{{ constant = {{ watts = 100 }} }}]\n"
FIRED = rule("tenth", "http", 'delay = { fixed = "1ms" }', 10).replace("{", "{{").replace("}", "}}")
LOG = '[log]\ndecisions = "{}"\nfile = "{{dir}}/decisions.jsonl"\n'


def variants(skip=()):
    all_modes = {mode for mode in LISTENERS if mode not in skip}
    http = {"http"}
    return {
        # No log, as the peers have none: a row of its own tells what that costs.
        "hormesis": Variant(21800, all_modes, '[log]\ndecisions = "off"\n'),
        # For memory and start: nothing but what is measured.
        "hormesis/bare": Variant(21820, http, '[limits]\nconnections = 20000\nkeep_alive = "10m"\n'),
        "hormesis/delayed": Variant(21840, {"delay"}, '[limits]\nconnections = 20000\n', delay="15s"),
        "hormesis/energy": Variant(21860, http, ENERGY),
        "hormesis/log-off": Variant(21880, http, FIRED + LOG.format("off")),
        "hormesis/log-fired": Variant(21900, http, FIRED + LOG.format("fired")),
        "hormesis/2": Variant(21920, http, workers=2),
    }
