"""Children that are always stopped: by their pid, killed when they do not go."""

import os
import shutil
import signal
import subprocess
from pathlib import Path


class Child:
    """A started program, its output in a file."""

    def __init__(self, argv, log: Path, env=None, cwd=None):
        # Should the test run itself be killed, the kernel ends its children.
        guard = [tool, "--pdeathsig", "KILL"] if (tool := shutil.which("setpriv")) else []
        self.name = Path(argv[0]).name
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*guard, *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
            )

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, timeout=20.0) -> int:
        return self.process.wait(timeout)

    def stop(self, timeout=10.0):
        if self.running:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def tail(self, lines=60) -> str:
        text = self.output().splitlines()[-lines:]
        return "\n".join([f"--- {self.name} (pid {self.pid}), end of its output ---", *text])


def resident(pid) -> dict:
    """RSS and its peak, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines)
    return {key: int(values[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM")}


def cpu_seconds(pid) -> float:
    """The time on CPUs so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def reset_peak(pid):
    """The peak of `resident` counts from here."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
