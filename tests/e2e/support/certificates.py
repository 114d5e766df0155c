"""An authority and its certificates, made by openssl."""

import subprocess
from pathlib import Path

CONFIG = """
[ca]
default_ca = it
[it]
database = {dir}/index
new_certs_dir = {dir}
serial = {dir}/serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Authority:
    """Files lie in its directory: `ca.pem`; `NAME.pem` and `NAME.key` of what it signed."""

    def __init__(self, directory: Path, name="test authority"):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.config = directory / "ca.cnf"
        self.config.write_text(CONFIG.format(dir=directory))
        (directory / "index").write_text("")
        (directory / "serial").write_text("01")
        self.self_signed("ca", [], f"/CN={name}")

    def path(self, name) -> Path:
        return self.directory / name

    def self_signed(self, name, hosts, subject="/CN=nobody"):
        """A certificate that speaks for itself alone."""
        more = ["-addext", self._names(hosts), "-addext", "basicConstraints=critical,CA:FALSE"] if hosts else []
        files = ["-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem")]
        openssl("req", "-x509", *KEY, *files, "-days", 3650, "-subj", subject, *more)

    def issue(self, name, hosts, until="21000101000000Z", into=None):
        """Signs a certificate for these hosts; put in place whole, as whoever renews one would."""
        key, request, made = (self.path(f"{name}.new.{kind}") for kind in ("key", "csr", "pem"))
        openssl("req", *KEY, "-keyout", key, "-out", request, "-subj", f"/CN={hosts[0]}")
        extensions = self.path(f"{name}.ext")
        extensions.write_text(f"{self._names(hosts)}\nextendedKeyUsage=serverAuth,clientAuth\n")
        signer = ["-config", self.config, "-cert", self.path("ca.pem"), "-keyfile", self.path("ca.key")]
        dates = ["-startdate", "20000101000000Z", "-enddate", until]
        openssl("ca", "-batch", "-notext", *signer, *dates, "-extfile", extensions, "-in", request, "-out", made)
        into = into or name
        key.replace(self.path(f"{into}.key"))
        made.replace(self.path(f"{into}.pem"))

    def fingerprint(self, name) -> str:
        return openssl("x509", "-in", self.path(f"{name}.pem"), "-noout", "-fingerprint", "-sha256").split("=")[1].strip()

    @staticmethod
    def _names(hosts):
        return "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts)
