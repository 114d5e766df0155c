"""A streaming upstream: one chunk to every client a tick, and GET /count for how many were sent."""

import contextlib
import json
import select
import socket
import sys
import time

EVENTS, TICK_S = 200, 0.002
DELTA = {"choices": [{"delta": {"content": "token"}}], "id": "c" * 120}
EVENT = ("data: " + json.dumps(DELTA) + "\n\n").encode()
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Server:
    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        self.clients, self.left, self.sent = {}, {}, 0

    def drop(self, fd):
        self.left.pop(fd, None)
        self.clients.pop(fd).close()

    def accept(self):
        client, _ = self.listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clients[client.fileno()] = client
        self.poll.register(client, select.EPOLLIN)

    def request(self, fd):
        """One whole request a read: what the load generators here send."""
        data = b""
        with contextlib.suppress(OSError):
            data = self.clients[fd].recv(65536)
            if data.startswith(b"GET /count"):
                body = str(self.sent).encode()
                self.clients[fd].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            elif data:
                self.clients[fd].sendall(HEAD)
                self.left[fd] = EVENTS
        if not data:
            self.drop(fd)

    def tick(self):
        for fd in list(self.left):
            self.left[fd] -= 1
            try:
                self.clients[fd].sendall(CHUNK if self.left[fd] else CHUNK + b"0\r\n\r\n")
            except OSError:
                self.drop(fd)
                continue
            self.sent += 1
            if not self.left[fd]:
                del self.left[fd]

    def run(self):
        due = time.monotonic()
        while True:
            for fd, _ in self.poll.poll(max(0, due - time.monotonic()) if self.left else 1):
                if fd == self.listener.fileno():
                    self.accept()
                else:
                    self.request(fd)
            if time.monotonic() >= due:
                due = max(due + TICK_S, time.monotonic())
                self.tick()


if __name__ == "__main__":
    Server(int(sys.argv[1])).run()
