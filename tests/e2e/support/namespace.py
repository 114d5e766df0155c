"""Runs the test suite of toxiproxy-python, whose ports are fixed, in a network namespace of its own.

    unshare --net --map-root-user python namespace.py BINARY SUITE
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import time

IFF_UP = 1
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914


def loopback_up():
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def main(binary, suite):
    loopback_up()
    server = subprocess.Popen([binary, "toxiproxy"], env={**os.environ, "LOG_LEVEL": "warn"})
    try:
        end = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", 8474)) != 0:
            if server.poll() is not None or time.monotonic() > end:
                return "hormesis toxiproxy does not answer"
            time.sleep(0.02)
        options = ["-p", "no:cacheprovider", "-c", os.devnull, "-o", "python_files=*_test.py", "-v", "--rootdir", suite]
        return subprocess.call([sys.executable, "-m", "pytest", *options, suite], cwd=os.path.dirname(suite))
    finally:
        server.terminate()
        server.wait(20)


sys.exit(main(*sys.argv[1:]))
