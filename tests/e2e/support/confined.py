"""What a program is started by so that it has less than the machine has: memory, descriptors, names.

Each needs root or a right that a container may not give; the test is skipped where it does not hold.
"""

import contextlib
import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

# The shell becomes the program, so that its pid is the program's.
BECOME = 'exec "$@"'


def shell(script):
    return ["sh", "-c", f"{script} && {BECOME}", "sh"]


def _holds(argv) -> bool:
    done = subprocess.run([*argv, "true"], capture_output=True, check=False)
    return done.returncode == 0


def mounts(script):
    """In a mount namespace of its own, after this script."""
    if not shutil.which("unshare") or not _holds(["unshare", "-m", "--propagation", "private"]):
        pytest.skip("no mount namespaces here")
    argv = ["unshare", "-m", "--propagation", "private", *shell(script)]
    if not _holds(argv):
        pytest.skip("nothing can be mounted here")
    return argv


def hosts(file: Path):
    """With this file as /etc/hosts. It is to be written in place."""
    return mounts(f"mount --bind '{file}' /etc/hosts")


def full_disk(directory: Path, kibibytes):
    """With a directory on a disk of its own that holds no more."""
    return mounts(f"mount -t tmpfs -o size={kibibytes}k tmpfs '{directory}'")


def descriptors(most):
    if not shutil.which("prlimit"):
        pytest.skip("prlimit is not installed")
    return ["prlimit", f"--nofile={most}:{most}", "--"]


@contextlib.contextmanager
def memory(limit):
    """In a control group with this much memory, what the kernel holds for it included."""
    one, two = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    name = f"hormesis-test-{uuid.uuid4().hex[:8]}"
    for base, file, value in ((one, "memory.limit_in_bytes", limit), (two, "memory.max", limit)):
        group = base / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / file).write_text(str(value))
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        with contextlib.suppress(OSError):
            (group / "memory.swap.max").write_text("0")
        try:
            yield shell(f"echo $$ > '{group}/cgroup.procs'"), group
        finally:
            with contextlib.suppress(OSError):
                os.rmdir(group)
        return
    pytest.skip("no control group with a memory limit can be made here")
