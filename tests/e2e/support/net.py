"""Plain sockets: a raw HTTP/1.1 client that keeps every byte, and the time the kernel got it."""

import contextlib
import dataclasses
import socket
import struct
import time

HOST = "127.0.0.1"
# The kernel stamps what it receives, so a client that is scheduled late measures no wrong gap.
SO_TIMESTAMPNS = 35


# The kernel may name a port again as soon as its socket is closed.
GIVEN: set[int] = set()


def free_port() -> int:
    """A port that nothing listens on at this moment, and that nobody here was given before."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        if port not in GIVEN:
            GIVEN.add(port)
            return port


def now() -> float:
    """Seconds on the clock that the kernel stamps packets with; the same in every process."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def wait_until(condition, timeout=15.0, what="condition", pause=0.01):
    """Polls until `condition()` is true, and returns its value; fails with `what` in the message."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(pause)


@dataclasses.dataclass
class Response:
    status: int
    reason: str
    fields: list  # (name, value) as on the wire, in order
    body: bytes = b""
    pieces: list = dataclasses.field(default_factory=list)  # (arrival, body bytes)
    head_at: float = 0.0
    ended_at: float = 0.0
    complete: bool = False
    error: Exception | None = None

    def header(self, name):
        return next((v for n, v in self.fields if n.lower() == name.lower()), None)

    @property
    def origin(self):
        return self.header("x-hormesis-origin")

    def events(self):
        """Server-sent events as (arrival of their last byte, bytes with the blank line)."""
        found, pending = [], b""
        for at, piece in self.pieces:
            pending += piece
            while (end := pending.find(b"\n\n")) >= 0:
                found.append((at, pending[: end + 2]))
                pending = pending[end + 2 :]
        return found


class Connection:
    """One connection, many calls."""

    def __init__(self, port, timeout=60.0):
        self.socket = socket.create_connection((HOST, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.buffer = b""
        self.at = 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data: bytes):
        self.socket.sendall(data)

    def receive(self) -> bytes:
        """The next bytes; empty at the end. `self.at` is when the kernel had them."""
        data, ancillary, _, _ = self.socket.recvmsg(1 << 18, 256)
        self.at = now()
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("@ll", value[:16])
                self.at = seconds + nanoseconds / 1e9
        return data

    def request(self, method, path, *, fields=(), body=b"", host="test") -> Response:
        self.send(head(method, path, fields, body, host) + body)
        return self.read(method)

    def read(self, method="GET", sink=None) -> Response:
        """Reads one answer. A body goes to `sink` (and is not kept) where there is one."""
        while b"\r\n\r\n" not in self.buffer:
            data = self.receive()
            if not data:
                raise ConnectionError(f"closed before a head; had {self.buffer!r}")
            self.buffer += data
        raw, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = raw.decode("latin-1").split("\r\n")
        _, status, *reason = lines[0].split(" ", 2)
        fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        response = Response(int(status), "".join(reason), fields, head_at=self.at)
        if 100 <= response.status < 200 and response.status != 101:
            return self.read(method, sink)
        try:
            self._body(response, method, sink)
            response.complete = True
        except (OSError, ValueError) as error:
            response.error = error
        response.ended_at = self.at
        response.body = b"".join(piece for _, piece in response.pieces)
        return response

    def _body(self, response, method, sink):
        def keep(data):
            if not data:
                return
            if sink:
                sink(data)
            else:
                response.pieces.append((self.at, data))

        if method == "HEAD" or response.status in (204, 304):
            return
        if (response.header("transfer-encoding") or "").lower() == "chunked":
            while size := int(self._line().split(b";")[0], 16):
                self._exactly(size, keep)
                if self._line():
                    raise ConnectionError("a chunk that does not end where it said")
            while self._line():
                pass
        elif (length := response.header("content-length")) is not None:
            self._exactly(int(length), keep)
        else:
            keep(self.buffer)
            self.buffer = b""
            while data := self.receive():
                keep(data)

    def _line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _exactly(self, size, keep):
        while size:
            if not self.buffer:
                self._more()
            part, self.buffer = self.buffer[:size], self.buffer[size:]
            size -= len(part)
            keep(part)

    def _more(self):
        data = self.receive()
        if not data:
            raise EOFError("closed before the end of the body") from None
        self.buffer += data


class EOFError(ConnectionError):  # noqa: A001 - the socket's own meaning
    """FIN before the message was whole."""


def head(method, path, fields=(), body=b"", host="test", length=None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{n}: {v}" for n, v in fields)]
    size = len(body) if length is None else length
    if size or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {size}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def call(port, method="GET", path="/", *, fields=(), body=b"", host="test", timeout=60.0) -> Response:
    """One call on a connection of its own."""
    with Connection(port, timeout) as connection:
        return connection.request(method, path, fields=fields, body=body, host=host)
