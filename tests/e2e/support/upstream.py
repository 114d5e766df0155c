"""An upstream that keeps a book: what reached it, when it sent what, and how it misbehaved.

Run as a program, so that neither its timing nor its memory mixes with the test's. What the path
asks for is done; `/_/requests` is the book. A thread a connection, blocking sockets.
"""

import contextlib
import hashlib
import json
import random
import socket
import struct
import sys
import threading
import time
from urllib.parse import parse_qsl, urlsplit

sys.path.insert(0, __file__.rsplit("/support/", 1)[0])
from support.net import HOST, now  # noqa: E402
from support.payload import as_chunks, blocks, events, made  # noqa: E402

BOOK, LOCK = [], threading.Lock()


class Gone(Exception):
    pass


class Peer:
    def __init__(self, sock):
        self.socket, self.buffer = sock, b""

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise Gone
        self.buffer += data

    def exactly(self, size):
        while size:
            if not self.buffer:
                self.more()
            part, self.buffer = self.buffer[:size], self.buffer[size:]
            size -= len(part)
            yield part

    def chunks(self):
        while size := int(self.line().split(b";")[0], 16):
            yield from self.exactly(size)
            self.line()
        while self.line():
            pass

    def send(self, data):
        self.socket.sendall(data)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        raise Gone


def serve(sock, number):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer = Peer(sock)
    with contextlib.suppress(Gone, OSError), sock:
        while True:
            one(peer, number)


def one(peer, number):
    method, target, _ = peer.line().decode("latin-1").split(" ")
    fields = []
    while line := peer.line():
        fields.append([part.strip() for part in line.decode("latin-1").split(":", 1)])
    lower = {name.lower(): value for name, value in fields}
    entry = {"at": now(), "connection": number, "method": method, "target": target, "fields": fields, "sent": [], "left": False}
    url = urlsplit(target)
    if url.path == "/_/requests":
        with LOCK:
            book = json.dumps(BOOK).encode()
        return answer(peer, book)
    with LOCK:
        BOOK.append(entry)
    if lower.get("expect", "").lower() == "100-continue":
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    if lower.get("transfer-encoding"):
        parts = peer.chunks()
    else:
        parts = peer.exactly(int(lower.get("content-length", 0)))
    total, size, body = hashlib.sha256(), 0, b""
    for part in parts:
        total.update(part)
        size += len(part)
        if size <= 1 << 16:
            body += part
    entry.update(sha256=total.hexdigest(), size=size, body_at=now())
    query = dict(parse_qsl(url.query))
    kind, _, rest = url.path.strip("/").partition("/")
    try:
        if url.path == "/v1/chat/completions/raw":
            raw_events(peer, entry, rest, query)
        elif url.path == "/v1/chat/completions":
            chat(peer, entry, json.loads(body), lower)
        else:
            ROUTES.get(kind, echo)(peer, entry, rest, query)
    except (Gone, OSError):
        entry["left"] = True
        raise Gone from None
    entry["done"] = now()


def answer(peer, body, status="200 OK", kind="application/json", extra=""):
    peer.send(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body)


def echo(peer, entry, _rest, _query):
    answer(peer, json.dumps(entry).encode())


def download(peer, _entry, rest, _query):
    peer.send(f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {rest}\r\n\r\n".encode())
    for block in blocks(int(rest)):
        peer.send(block)


def chunked(peer, _entry, rest, query):
    step = int(query.get("step", 65536))
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for block in blocks(int(rest)):
        for start in range(0, len(block), step):
            piece = block[start : start + step]
            peer.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    peer.send(b"0\r\n\r\n")


def identity(peer, entry, _rest, query):
    """The body that a seed stands for, framed as asked; what came of the request's in a header."""
    body = made(int(query["seed"]), int(query["size"]), query["kind"])
    coding = "Content-Encoding: gzip\r\n" if query["kind"] == "gzip" else ""
    head = f"HTTP/1.1 200 OK\r\nX-Got: {entry['sha256']}\r\nContent-Type: application/octet-stream\r\n{coding}"
    framing, _, step = query["framing"].partition("-")
    if framing == "length":
        return peer.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    if framing == "close":
        peer.send(f"{head}Connection: close\r\n\r\n".encode() + body)
        peer.socket.shutdown(socket.SHUT_WR)
        raise Gone
    peer.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    peer.send(as_chunks(body, int(step)))


def raw_events(peer, _entry, _rest, query):
    """Events that a seed stands for, in pieces that end anywhere."""
    data, source = events(int(query["seed"]), int(query["events"])), random.Random(int(query["seed"]))
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    while data:
        count = source.randrange(1, 500)
        piece, data = data[:count], data[count:]
        peer.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    peer.send(b"0\r\n\r\n")


def slow(peer, entry, rest, query):
    time.sleep(int(rest) / 1000)
    echo(peer, entry, rest, query)


def hang(peer, _entry, _rest, _query):
    while True:
        peer.more()  # ends when the other side leaves


def status(peer, _entry, rest, _query):
    answer(peer, b'{"error":"the upstream\'s own"}', f"{rest} Own")


def lie(peer, _entry, rest, _query):
    """Framing that promises what it does not keep."""
    ok = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
    if rest == "short":  # fewer bytes than announced
        peer.send(ok + b"Content-Length: 100\r\n\r\nonly these")
    elif rest == "half":  # no last chunk
        peer.send(ok + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    elif rest == "chunk":  # a size that is no number
        peer.send(ok + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n")
    elif rest == "garbage":
        peer.send(b"\x00\x01 this is no HTTP\r\n\r\n")
    elif rest == "reset":
        peer.reset()
    peer.socket.shutdown(socket.SHUT_WR)
    raise Gone


def chat(peer, entry, body, lower):
    """OpenAI's chat API: events at a steady pace, the time of each send in the book."""
    count, gap = int(lower.get("x-events", 20)), float(lower.get("x-gap-ms", 50)) / 1000
    shell = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}

    def event(delta, finish=None):
        data = {**shell, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    if not body.get("stream"):
        message = {"role": "assistant", "content": "".join(f"w{i} " for i in range(count))}
        whole = {**shell, "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        whole["usage"] = {"prompt_tokens": 3, "completion_tokens": count, "total_tokens": count + 3}
        return answer(peer, json.dumps(whole).encode())
    events = [event({"role": "assistant", "content": ""})]
    events += [event({"content": f"w{i} "}) for i in range(count)]
    events += [event({}, "stop"), b"data: [DONE]\n\n"]
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    start = time.monotonic()
    for index, data in enumerate(events):
        time.sleep(max(0.0, start + index * gap - time.monotonic()))
        before = now()
        peer.send(b"%x\r\n%s\r\n" % (len(data), data))
        entry["sent"].append([before, now()])
    peer.send(b"0\r\n\r\n")


ROUTES = {"identity": identity, "bytes": download, "chunked": chunked, "slow": slow, "hang": hang, "status": status, "lie": lie}


def main():
    listener = socket.create_server((HOST, int(sys.argv[1])), backlog=1024)
    for number in range(sys.maxsize):
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, number), daemon=True).start()


if __name__ == "__main__":
    main()
