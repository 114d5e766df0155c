"""Rows about memory and start: they start the proxy for themselves, with nothing before them."""

import contextlib
import http.client
import resource
import select
import socket
import time

from rig import HOST, get, memory_bytes, stop

REQUEST = f"GET /1k HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
# Descriptors that the load itself needs besides its connections.
SPARE_FILES = 300
SETTLE_S = 1.0


@contextlib.contextmanager
def running(rig, proxy):
    rig.start(proxy)
    try:
        rig.ready(proxy)
        time.sleep(SETTLE_S)
        yield proxy.process.pid
    finally:
        stop(proxy.process)
        proxy.process = None


def most(wanted):
    """So many connections as this process, and one that it starts, may hold."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, hard - SPARE_FILES)


def connect(port):
    return socket.create_connection((HOST, port), 10)


def asked(connection):
    """One whole call, so that the connection is kept alive and idle."""
    connection.sendall(REQUEST)
    got = b""
    while len(got) < 1024 or b"\r\n\r\n" not in got:
        part = connection.recv(65536)
        if not part:
            raise RuntimeError("closed by the proxy")
        got += part


def idle(first, last):
    """Bytes for each idle connection between `first` and `last` of them; what is left when all are
    closed, over the start."""

    def measure(rig, proxy):
        count = most(last)
        with running(rig, proxy) as pid:
            get(proxy.port("http"), "/1k")
            sizes, sockets = {0: memory_bytes(pid)[1]}, []
            try:
                for step in sorted({first, count} - {0}):
                    while len(sockets) < step:
                        sockets.append(connect(proxy.port("http")))
                        asked(sockets[-1])
                    time.sleep(SETTLE_S)
                    sizes[step] = memory_bytes(pid)[1]
            finally:
                for connection in sockets:
                    connection.close()
            time.sleep(2 * SETTLE_S)
            rss, after = memory_bytes(pid)
        each = (sizes[count] - sizes[first]) / (count - first)
        return {"bytes": each, "connections": count, "left_mib": (after - sizes[0]) / 2**20, "rss_after_mib": rss / 2**20}

    return measure


def delayed(rig, proxy):
    """Thousands of calls that wait in a rule's delay at once: what each costs beyond its connection.
    The rule's delay is long enough for all of them to be sent within it."""
    count = most(20000)
    with running(rig, proxy) as pid:
        sockets = []
        try:
            while len(sockets) < count:
                sockets.append(connect(proxy.port("delay")))
            time.sleep(SETTLE_S)
            before = memory_bytes(pid)[1]
            for connection in sockets:
                connection.sendall(REQUEST)
            time.sleep(2 * SETTLE_S)
            waiting = memory_bytes(pid)[1]
            early, _, _ = select.select(sockets[:1], [], [], 0)
            if early:
                raise RuntimeError("the first call was answered before the last was sent")
        finally:
            for connection in sockets:
                connection.close()
        time.sleep(2 * SETTLE_S)
        after = memory_bytes(pid)[1]
    return {"bytes": (waiting - before) / count, "calls": count, "left_mib": (after - before) / 2**20}


def rss(rig, proxy):
    with running(rig, proxy) as pid:
        get(proxy.port("http"), "/1k")
        time.sleep(SETTLE_S)
        resident, own = memory_bytes(pid)
    return {"rss_mib": resident / 2**20, "pss_mib": own / 2**20}


def start(rig, proxy):
    begun = time.monotonic()
    rig.start(proxy)
    try:
        while time.monotonic() - begun < 20:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if get(proxy.port("http"), "/1k")[0] == 200:
                    return {"ms": (time.monotonic() - begun) * 1000}
            time.sleep(0.0005)
        raise RuntimeError("no answer within 20 s")
    finally:
        stop(proxy.process)
        proxy.process = None
