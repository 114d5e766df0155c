"""`hormesis toxiproxy` as users start it, and the little that tests ask of it beyond its clients."""

import json
import socket
import socketserver
import threading

from support.net import HOST, accepts, call, free_port, wait_until
from support.process import Child


class Toxiproxy:
    def __init__(self, binary, directory, *flags, env=None):
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        argv = [binary, "toxiproxy", "-host", HOST, f"-port={self.port}", *flags]
        self.child = Child(argv, directory / f"toxiproxy-{self.port}.log", env=env)
        wait_until(lambda: accepts(self.port), what="the Toxiproxy API")

    def ask(self, method, path, body=None, timeout=10):
        """The answer, as JSON where there is any; fails where it is an error."""
        data = json.dumps(body).encode() if body is not None else b""
        answer = call(self.port, method, path, fields=[("Content-Type", "application/json")], body=data, timeout=timeout)
        assert answer.status < 300, (method, path, answer.status, answer.body)
        return json.loads(answer.body) if answer.body else None

    def create(self, name, upstream):
        """A proxy before this port; its own port."""
        proxy = {"name": name, "listen": f"{HOST}:0", "upstream": f"{HOST}:{upstream}"}
        return int(self.ask("POST", "/proxies", proxy)["listen"].rsplit(":", 1)[1])

    def stop(self):
        self.child.stop()


class Echo:
    """Sends back what it gets."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            try:
                while data := self.request.recv(65536):
                    self.request.sendall(data)
            except OSError:
                pass  # a toxic has cut the connection

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 128

    def __init__(self):
        self.server = self.Server((HOST, 0), self.Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def connect(port, timeout=20):
    connection = socket.create_connection((HOST, port), timeout=timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def echo(connection, data=b"hello\n"):
    connection.sendall(data)
    left = len(data)
    back = b""
    while left:
        piece = connection.recv(65536)
        assert piece, "closed"
        back += piece
        left -= len(piece)
    assert back == data
