"""`hormesis top` on a real terminal: tmux draws it, and tells what stands there."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import threading

import pytest

from support.net import HOST, wait_until

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")

RULES = """
[[rules]]
name = "overloaded"
probability = "20%"
[[rules.faults]]
abort = { status = 503 }

[[rules]]
name = "for-later"
armed = false
[[rules.faults]]
stall = {}
"""


class Terminal:
    """A terminal of this size, with a shell in it that has typed one command."""

    def __init__(self, directory, columns, rows, command):
        self.tmux = ["tmux", "-S", str(directory / "tmux"), "-f", os.devnull]
        self.rows = rows
        # What the shell says afterwards shows that the terminal is as it was.
        typed = f"echo before; {command}; echo ended with $?; stty -a; exec sleep 600"
        self.run("new-session", "-d", "-x", columns, "-y", rows, "-e", "TERM=screen-256color", f"sh -c {shlex.quote(typed)}")

    def run(self, *arguments):
        done = subprocess.run([*self.tmux, *map(str, arguments)], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def shown(self, colours=False):
        return self.run("capture-pane", "-p", *(["-e"] if colours else []))

    def type(self, keys):
        self.run("send-keys", keys)

    def wait(self, *texts):
        def all_there():
            shown = self.shown()
            return shown if all(it in shown for it in texts) else None

        try:
            return wait_until(all_there, 20.0, f"{texts} on the terminal", pause=0.05)
        except Exception:
            print(self.shown())
            raise

    def ended(self, code):
        """The picture is gone, what was before is back, and keys are echoed again."""
        # The last word of what `stty -a` tells.
        shown = self.wait(f"ended with {code}", "extproc")
        assert "before" in shown and "calls/s" not in shown, shown
        words = re.split(r"[\s;]+", shown)
        assert "icanon" in words and "echo" in words and "isig" in words, shown

    def stop(self):
        subprocess.run([*self.tmux, "kill-server"], capture_output=True, timeout=20, check=False)


@pytest.fixture
def terminal(binary, tmp_path):
    opened = []

    def open_with(it, columns, rows):
        folder = tmp_path / f"terminal-{len(opened)}"
        folder.mkdir()
        # A process of the shell's own, to be signalled by its number.
        command = f"sh -c 'echo $$ > {folder}/pid; exec {binary} top --every 500ms --admin {HOST}:{it.admin}'"
        terminal = Terminal(folder, columns, rows, command)
        opened.append(terminal)
        terminal.wait("calls/s")
        terminal.pid = int((folder / "pid").read_text())
        return terminal

    yield open_with
    for terminal in opened:
        terminal.stop()


@pytest.fixture
def busy(sidecar, upstream):
    """A sidecar under a light, steady load."""
    it = sidecar(RULES, upstream=upstream.port, upstream_keys=f"energy = {{ process = {{ port = {upstream.port} }} }}")
    enough = threading.Event()

    def load():
        while not enough.wait(0.01):
            it.call(path="/ok")

    lanes = [threading.Thread(target=load) for _ in range(2)]
    for lane in lanes:
        lane.start()
    yield it
    enough.set()
    for lane in lanes:
        lane.join()


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (160, 50)])
def test_it_reads_well(terminal, busy, columns, rows, tmp_path):
    screen = terminal(busy, columns, rows)
    # Rates are of the last seconds, joules come a little later than their calls.
    screen.wait("overloaded", "injected_fault", " a success")
    # Its row: a rate, and each quantile.
    row = r"(?m)^main +[1-9][\d.]* +\d+ +[\d.]+ [µm]?s +[\d.]+ [µm]?s +[\d.]+ [µm]?s"
    wait_until(lambda: re.search(row, screen.shown()), 20.0, "rates and quantiles", pause=0.05)
    shown = screen.shown()
    # Kept for who wants to look: pytest's folder stands for a while.
    (tmp_path / f"top-{columns}x{rows}.ansi").write_text(screen.shown(colours=True))
    lines = shown.splitlines()
    assert len(lines) <= rows and all(len(line) <= columns for line in lines)
    for part in ("calls", "errors by origin", "joules by outcome", "rules (2)", "q quit"):
        assert part in shown, shown
    rule = next(line for line in lines if line.startswith("overloaded "))
    assert "armed" in rule and "abort" in rule, shown
    later = next(line for line in lines if line.startswith("for-later "))
    assert " off " in later, shown
    assert ("calls a second" in shown) == (rows >= 36), shown
    screen.type("q")
    screen.ended(0)


def test_h_halts_and_shows_it_at_once(terminal, busy):
    screen = terminal(busy, 80, 24)
    screen.type("?")
    screen.wait("hormesis resume", "y confirms")
    screen.type("?")
    screen.wait("errors by origin")
    screen.type("h")
    screen.wait("halt every fault?")
    screen.type("y")
    shown = screen.wait("HALTED", "h in hormesis top")
    assert shown.splitlines()[1].strip().startswith("HALTED"), shown
    assert busy.get("/status").body and b"h in hormesis top" in busy.get("/status").body
    assert busy.call(path="/ok").status == 200
    screen.type("C-c")
    screen.ended(130)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_gives_the_terminal_back(terminal, busy, number, code):
    screen = terminal(busy, 80, 24)
    os.kill(screen.pid, number)
    screen.ended(code)


def test_a_sidecar_that_goes_away_is_told_of_and_found_again(terminal, sidecar, upstream):
    it = sidecar(RULES, upstream=upstream.port)
    screen = terminal(it, 80, 24)
    it.stop()
    screen.wait("no answer for")
    screen.type("q")
    screen.ended(0)


def test_a_window_changes_its_size(terminal, busy):
    screen = terminal(busy, 160, 50)
    screen.wait("calls a second")
    screen.run("resize-window", "-x", 80, "-y", 24)
    wait_until(lambda: "calls a second" not in screen.shown(), 20.0, "the small picture", pause=0.05)
    screen.run("resize-window", "-x", 50, "-y", 10)
    screen.wait("top needs 60×14 characters")
    screen.run("resize-window", "-x", 80, "-y", 24)
    screen.wait("errors by origin")
    screen.type("q")
    screen.ended(0)
