"""TLS between peers that nobody here wrote: curl, openssl, nginx, httpx and Python's ssl."""

import contextlib
import http.client
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import httpx
import pytest

from conftest import tool
from support.certificates import Authority
from support.net import HOST, accepts, free_port, wait_until
from support.process import Child

SERVER = """
  server {{
    listen {host}:{port} ssl {http2};
    ssl_certificate {dir}/{cert}.pem;
    ssl_certificate_key {dir}/{cert}.key;
    {more}
    location / {{ default_type text/plain; add_header X-Name {cert} always; return 200 "$server_protocol $ssl_protocol $ssl_server_name $ssl_client_s_dn"; }}
  }}
"""
MAIN = """
worker_processes 1;
daemon off;
pid {dir}/pid;
error_log {dir}/error.log info;
events {{ worker_connections 512; }}
http {{
  access_log off;
  ssl_protocols TLSv1.2 TLSv1.3;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
{servers}
}}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    tool("openssl")
    it = Authority(tmp_path_factory.mktemp("authority"))
    it.issue("front", ["front.test"])
    it.issue("good", ["up.test", "localhost"])
    it.issue("other", ["other.test"])
    it.issue("expired", ["up.test"], until="20200101000000Z")
    it.issue("client", ["client.test"])
    it.self_signed("self", ["up.test"])
    return it


# name → (certificate, HTTP/2, more directives)
SERVERS = {
    "good": ("good", "http2", ""),
    "one": ("good", "", ""),
    "other": ("other", "", ""),
    "expired": ("expired", "", ""),
    "self": ("self", "", ""),
    "mutual": ("good", "", "ssl_client_certificate {dir}/ca.pem; ssl_verify_client on;"),
    "old": ("good", "", "ssl_protocols TLSv1.2;"),
}


@pytest.fixture(scope="module")
def nginx_tls(authority):
    """The port of each server of SERVERS."""
    program = tool("nginx")
    ports = {name: free_port() for name in SERVERS}
    servers = [
        SERVER.format(host=HOST, port=ports[name], http2=http2, dir=authority.directory, cert=cert, more=more.format(dir=authority.directory))
        for name, (cert, http2, more) in SERVERS.items()
    ]
    file = authority.path("nginx.conf")
    file.write_text(MAIN.format(dir=authority.directory, servers="".join(servers)))
    child = Child([program, "-p", authority.directory, "-c", file, "-e", authority.path("start.log")], authority.path("nginx.out"))
    wait_until(lambda: accepts(ports["good"]), what="nginx")
    yield ports
    child.stop()


def front(authority, more=""):
    """The listener's keys: TLS for front.test."""
    return f'tls = {{ cert = "{authority.path("front.pem")}", key = "{authority.path("front.key")}"{more} }}'


def towards(authority, more=""):
    return f'tls = {{ ca = "{authority.path("ca.pem")}", server_name = "up.test"{more} }}'


@pytest.fixture
def curl(authority):
    tool("curl")

    def run(it, *args, host="front.test"):
        """(version of HTTP, status, body) of a call over TLS."""
        argv = ["curl", "-sS", "--max-time", "20", "--cacert", authority.path("ca.pem"), "--resolve", f"{host}:{it.port}:{HOST}"]
        argv += [*args, "-w", "\n%{http_version} %{http_code}", f"https://{host}:{it.port}/"]
        done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        body, told = done.stdout.rsplit("\n", 1)
        version, status = told.split()
        return version, int(status), body

    return run


def s_client(it, *args, send=""):
    argv = ["openssl", "s_client", "-connect", f"{HOST}:{it.port}", *map(str, args)]
    done = subprocess.run(argv, input=send, capture_output=True, text=True, check=False, timeout=20)
    return done.stdout + done.stderr


def context(authority, alpn=("http/1.1",), **client):
    made = ssl.create_default_context(cafile=authority.path("ca.pem"))
    made.set_alpn_protocols(list(alpn))
    if name := client.get("show"):
        made.load_cert_chain(authority.path(f"{name}.pem"), authority.path(f"{name}.key"))
    return made


def connect(it, made, host="front.test"):
    sock = socket.create_connection((HOST, it.port), timeout=20)
    return made.wrap_socket(sock, server_hostname=host)


def ask(secure, host="front.test") -> bytes:
    secure.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = http.client.HTTPResponse(secure)
    answer.begin()
    assert answer.status == 200
    return answer.read()


def test_both_versions_of_http_on_both_sides(sidecar, authority, nginx_tls, curl):
    for upstream, spoken in (("good", "HTTP/2.0"), ("one", "HTTP/1.1")):
        it = sidecar(
            upstream=nginx_tls[upstream],
            scheme="https",
            listener_keys=front(authority),
            upstream_keys=towards(authority),
        )
        for asked, version in (("--http2", "2"), ("--http1.1", "1.1")):
            got = curl(it, asked)
            assert got == (version, 200, f"{spoken} TLSv1.3 up.test ")
        with httpx.Client(http2=True, verify=context(authority, ("h2", "http/1.1"))) as client:
            answer = client.get(f"https://{HOST}:{it.port}/", extensions={"sni_hostname": "front.test"})
        assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
        assert answer.headers["x-name"] == "good"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_verifies_what_a_listener_shows(sidecar, authority, nginx_tls, version):
    it = sidecar(upstream=nginx_tls["one"], scheme="https", listener_keys=front(authority), upstream_keys=towards(authority))
    told = s_client(it, version, "-CAfile", authority.path("ca.pem"), "-verify_hostname", "front.test", "-servername", "front.test", "-alpn", "h2,http/1.1")
    assert "Verify return code: 0 (ok)" in told
    assert "ALPN protocol: h2" in told
    told = s_client(it, version, "-CAfile", authority.path("ca.pem"), "-servername", "front.test", "-alpn", "http/1.1")
    assert "ALPN protocol: http/1.1" in told
    # Protocols of old are not spoken.
    assert "Cipher is (NONE)" in s_client(it, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")


def test_an_upstream_that_speaks_an_older_tls(sidecar, authority, nginx_tls):
    it = sidecar(upstream=nginx_tls["old"], scheme="https", upstream_keys=towards(authority))
    assert it.call().body == b"HTTP/1.1 TLSv1.2 up.test "


@pytest.mark.parametrize(
    ("server", "reason"),
    [("other", "is for other.test, not for up.test"), ("expired", "expired"), ("self", "sign"), ("mutual", "certificate")],
)
def test_an_upstream_that_is_not_who_it_should_be_is_a_502_with_the_reason(sidecar, authority, nginx_tls, server, reason):
    it = sidecar(upstream=nginx_tls[server], scheme="https", upstream_keys=towards(authority) + '\nhttp = "1.1"')
    answer = it.call()
    told = answer.body.decode()
    print(server, answer.status, told)
    if server == "mutual":
        # With TLS 1.3 a server says so behind its side of the handshake; nginx with a status.
        assert answer.status == 400 and "No required SSL certificate" in told
        return
    assert (answer.status, answer.origin) == (502, "upstream")
    assert reason in told
    record = it.wait_decisions(1)[0]
    assert (record["outcome"], record["origin"]) == ("upstream_error", "upstream")
    assert reason in record["reason"]


def test_the_sidecar_shows_its_own_certificate_to_an_upstream_that_asks(sidecar, authority, nginx_tls):
    shown = f', cert = "{authority.path("client.pem")}", key = "{authority.path("client.key")}"'
    it = sidecar(upstream=nginx_tls["mutual"], scheme="https", upstream_keys=towards(authority, shown))
    assert it.call().body == b"HTTP/1.1 TLSv1.3 up.test CN=client.test"


@pytest.mark.parametrize("verify", [[], ["-Verify", "1", "-verify_return_error"]])
def test_openssls_own_server(sidecar, authority, tmp_path, verify):
    """It answers in HTTP/1.0, ends answers with its connection, and insists on a certificate where told to."""
    port = free_port()
    files = ["-cert", authority.path("good.pem"), "-key", authority.path("good.key"), "-CAfile", authority.path("ca.pem")]
    child = Child(["openssl", "s_server", "-accept", f"{HOST}:{port}", *files, *verify, "-www"], tmp_path / "s_server.log")
    try:
        wait_until(lambda: accepts(port), what="openssl s_server")
        shown = f', cert = "{authority.path("client.pem")}", key = "{authority.path("client.key")}"'
        it = sidecar(upstream=port, scheme="https", upstream_keys=towards(authority, shown if verify else ""))
        answer = it.call()
        assert answer.status == 200 and b"s_server" in answer.body
        if verify:
            other = sidecar(upstream=port, scheme="https", upstream_keys=towards(authority))
            answer = other.call()
            assert answer.status == 502 and b"certificate" in answer.body.lower(), answer.body
    finally:
        child.stop()


def test_only_clients_with_a_certificate_are_let_in_where_one_is_required(sidecar, authority, nginx_tls, curl, tmp_path):
    ca = f', client_ca = "{authority.path("ca.pem")}"'
    it = sidecar(upstream=nginx_tls["one"], scheme="https", listener_keys=front(authority, ca), upstream_keys=towards(authority))
    mine = ["--cert", authority.path("client.pem"), "--key", authority.path("client.key")]
    assert curl(it, "--http1.1", *mine)[1] == 200
    assert ask(connect(it, context(authority, show="client")))
    foreign = Authority(tmp_path / "foreign", "somebody else")
    foreign.issue("client", ["client.test"])
    theirs = context(authority)
    theirs.load_cert_chain(foreign.path("client.pem"), foreign.path("client.key"))
    for made in (context(authority), theirs):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            ask(connect(it, made))
    wait_until(lambda: it.child.output().count("connection refused") >= 2, what="both told in the log")
    assert curl(it, "--http1.1", *mine)[1] == 200


def test_certificates_are_replaced_under_load_and_a_bad_one_keeps_the_old(sidecar, authority, nginx_tls):
    authority.issue("changing", ["front.test"])
    keys = f'tls = {{ cert = "{authority.path("changing.pem")}", key = "{authority.path("changing.key")}" }}'
    it = sidecar(upstream=nginx_tls["one"], scheme="https", listener_keys=keys, upstream_keys=towards(authority))
    made, over, wrong, calls = context(authority), threading.Event(), [], [0] * 4

    def shown():
        with connect(it, context(authority)) as secure:
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))

    def client(number):
        while not over.is_set():
            try:
                with connect(it, made) as secure:
                    assert ask(secure).startswith(b"HTTP/1.1")
                calls[number] += 1
            except Exception as error:  # noqa: BLE001 (whatever it is, the test tells it)
                wrong.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    seen = [shown()]
    try:
        for number in range(1, 6):
            authority.issue("changing", ["front.test"])
            # By a signal and by the watch of the files, in turn.
            if number % 2:
                it.child.signal(signal.SIGHUP)
            wait_until(lambda: shown() != seen[-1], what=f"certificate {number}")
            seen.append(shown())
        authority.path("changing.pem").write_text("no certificate")
        it.child.signal(signal.SIGHUP)
        wait_until(lambda: it.metric("hormesis_config_reloads_total", result="failed") >= 1, what="a refused reload")
        assert shown() == seen[-1]
        done = sum(calls)
        wait_until(lambda: sum(calls) > done + 20, what="calls with the old certificate")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    print(f"{len(seen)} certificates, {sum(calls)} connections, {len(wrong)} of them wrong")
    assert len(set(seen)) == len(seen)
    assert wrong == []


def test_plain_on_tls_and_tls_on_plain_end_at_once_and_are_told(sidecar, authority, nginx_tls, nginx):
    it = sidecar(upstream=nginx_tls["one"], scheme="https", listener_keys=front(authority), upstream_keys=towards(authority))
    answer = it.call()
    assert answer.status == 400 and b"TLS" in answer.body
    wait_until(lambda: "plain" in it.child.output(), what="a line in the log")
    plain = sidecar(upstream=nginx)
    start = time.monotonic()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(plain, context(authority))
    assert time.monotonic() - start < 5
    wait_until(lambda: "TLS" in plain.child.output(), what="a line in the log")
    assert plain.call().status == 200
    # A plain upstream where TLS is expected.
    wrong = sidecar(upstream=nginx, scheme="https", upstream_keys=towards(authority))
    answer = wrong.call()
    assert answer.status == 502 and b"TLS" in answer.body, answer.body


def hello(host="front.test") -> bytes:
    """What Python's ssl sends first."""
    out = ssl.MemoryBIO()
    made = ssl.create_default_context()
    client = made.wrap_bio(ssl.MemoryBIO(), out, server_hostname=host)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


class Fragmenting:
    """Relays one connection; the client's first record goes out as records of `size` bytes."""

    def __init__(self, port, size):
        self.port, self.size = port, size
        self.listener = socket.create_server((HOST, 0))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        client, _ = self.listener.accept()
        server = socket.create_connection((HOST, self.port))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = client.recv(5, socket.MSG_WAITALL)
        body = client.recv(int.from_bytes(head[3:5], "big"), socket.MSG_WAITALL)
        for start in range(0, len(body), self.size):
            piece = body[start : start + self.size]
            record = head[:3] + len(piece).to_bytes(2, "big") + piece
            for byte in range(0, len(record), 7):
                server.sendall(record[byte : byte + 7])

        def pump(a, b):
            with contextlib.suppress(OSError):
                while data := a.recv(1 << 16):
                    b.sendall(data)
                b.shutdown(socket.SHUT_WR)

        threading.Thread(target=pump, args=(client, server), daemon=True).start()
        pump(server, client)


@pytest.mark.parametrize("size", [1, 16, 200])
def test_a_fragmented_hello_is_understood(sidecar, authority, nginx_tls, size):
    it = sidecar(upstream=nginx_tls["one"], scheme="https", listener_keys=front(authority), upstream_keys=towards(authority))
    between = Fragmenting(it.port, size)
    between.port, it_port = it.port, between.listener.getsockname()[1]
    sock = socket.create_connection((HOST, it_port), timeout=20)
    with context(authority).wrap_socket(sock, server_hostname="front.test") as secure:
        assert ask(secure).startswith(b"HTTP/1.1")


@pytest.mark.parametrize("sent", [b"", b"part"])
def test_a_stalled_handshake_is_closed_in_time(sidecar, authority, nginx_tls, sent):
    it = sidecar(
        upstream=nginx_tls["one"],
        scheme="https",
        listener_keys=front(authority),
        upstream_keys=towards(authority),
        top='[limits]\ntls_handshake = "400ms"\n',
    )
    with socket.create_connection((HOST, it.port), timeout=20) as sock:
        start = time.monotonic()
        if sent:
            sock.sendall(hello()[:100])
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1) == b""
        took = time.monotonic() - start
    assert took >= 0.39
    assert took < 5
    assert ask(connect(it, context(authority)))


def test_a_handshake_passes_through_by_its_host(sidecar, authority, nginx_tls):
    """A `tcp` listener without keys: who is asked for is shown by nginx itself."""
    routes = 'routes = [{ sni = "other.test", upstream = "other" }]'
    more = f'[upstreams.other]\nendpoints = ["tcp://{HOST}:{nginx_tls["other"]}"]\n'
    it = sidecar(more, upstream=nginx_tls["one"], protocol="tcp", listener_keys=routes)
    for host, name in (("other.test", "other"), ("up.test", "good"), ("localhost", "good")):
        with connect(it, context(authority), host) as secure:
            der = secure.getpeercert(binary_form=True)
            expected = ssl.PEM_cert_to_DER_cert(authority.path(f"{name}.pem").read_text())
            assert der == expected, host
            assert f" {host} ".encode() in ask(secure, host)
    # The same in pieces, and without a name.
    between = Fragmenting(it.port, 16)
    sock = socket.create_connection(between.listener.getsockname(), timeout=20)
    with context(authority).wrap_socket(sock, server_hostname="other.test") as secure:
        assert ask(secure, "other.test")
    nameless = context(authority)
    nameless.check_hostname = False
    with connect(it, nameless, None) as secure:
        assert ask(secure)


def test_a_session_is_resumed(sidecar, authority, nginx_tls, tmp_path):
    it = sidecar(upstream=nginx_tls["one"], scheme="https", listener_keys=front(authority), upstream_keys=towards(authority))
    file = tmp_path / "session"
    common = ["-tls1_3", "-CAfile", authority.path("ca.pem"), "-servername", "front.test", "-ign_eof"]
    ask = "GET / HTTP/1.1\r\nHost: front.test\r\nConnection: close\r\n\r\n"
    first = s_client(it, *common, "-sess_out", file, send=ask)
    second = s_client(it, *common, "-sess_in", file, send=ask)
    assert re.search(r"^New, TLSv1.3", first, re.MULTILINE)
    assert re.search(r"^Reused, TLSv1.3", second, re.MULTILINE)
