"""A relay that keeps every byte it passes: what the upstream really sent, call for call."""

import contextlib
import socket
import threading

from support.net import HOST


class Tee:
    def __init__(self, target: int):
        self.target = target
        self.requests, self.responses = [], []  # one bytearray a connection
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection((HOST, self.target))
                for sock in (near, far):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.requests.append(bytearray())
                self.responses.append(bytearray())
                for source, sink, kept in ((near, far, self.requests[-1]), (far, near, self.responses[-1])):
                    threading.Thread(target=_copy, args=(source, sink, kept), daemon=True).start()


def _copy(source, sink, kept):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            kept += data
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
