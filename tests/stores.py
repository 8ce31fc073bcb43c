"""Emulated object stores on loopback ports: moto's for S3, azurite for Azure and OneLake.

``python -m tests.stores FOLDER`` installs azurite, which is npm's, into a folder; the tests find it
there by ``SPECTRA_AZURITE``.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from spectra_logging.testing import storage_token
from tests.programs import free_port, wait_until

__all__ = ["Azurite", "Store", "missing_for", "moto_server", "s3_store"]

AZURITE = "azurite@3.35.0"
ELSEWHERE = "object stores are tried by tox -e stores"
"""How the reason of a skip begins where the tests run outside that environment."""

ACCOUNT = "onelake"
ACCOUNT_KEY = base64.b64encode(b"not a key, for an emulator alone").decode()


@dataclass(frozen=True)
class Store:
    """Where a test's tables go.

    Args:
        root: URI of a folder.
        options: The storage options that reach it.
        environment: What the process needs besides.
    """

    root: str
    options: Mapping[str, str]
    environment: Mapping[str, str]


def missing_for(kind: str) -> str | None:
    """Why there can be no such store here; ``None`` when there can."""
    if "SPECTRA_AZURITE" not in os.environ:
        return ELSEWHERE
    if find_spec("moto") is None:
        return "moto[server] is not installed"
    if kind != "s3" and not _azurite().exists():
        return f"{AZURITE} is not installed: {_missing_node() or 'see the output of tox'}"
    return None


# -- S3 ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def moto_server(port: int) -> Iterator[None]:
    """An S3 with one bucket, ``bucket``, that is forgotten at the end."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, port):
        put = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")
        with urllib.request.urlopen(put):
            yield


def s3_store(port: int, folder: str) -> Store:
    """A folder of the bucket."""
    options = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "not-an-id",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret-key",
        "AWS_REGION": "us-east-1",
    }
    return Store(f"s3://bucket/{folder}", options, {})


# -- Azure and OneLake ---------------------------------------------------------------------------


class Azurite:
    """Azure's emulator behind TLS, where an account's key and a bearer token both open the door.

    Its one account is called as OneLake's is, and its containers are what workspaces are there. A
    token is looked at as far as azurite does: audience, issuer and life-time, not the signature.

    Args:
        folder: Where it keeps its certificate.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._certificate, self._key = folder / "certificate.pem", folder / "key.pem"
        _sign_certificate(self._certificate, self._key)
        self.environment = {
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": f"https://127.0.0.1:{self.port}",
            "AZURE_ALLOW_INVALID_CERTIFICATES": "true",
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[Azurite]:
        """Start it; what it held is forgotten at the end."""
        command = [str(_azurite()), "--blobPort", str(self.port), "--inMemoryPersistence"]
        command += ["--disableTelemetry", "--skipApiVersionCheck", "--oauth", "basic"]
        command += ["--cert", str(self._certificate), "--key", str(self._key)]
        accounts = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}
        with _running(command, self.port, accounts, self._folder):
            yield self

    def create_container(self, name: str) -> None:
        """Make a container, which is what a workspace is in OneLake."""
        put = urllib.request.Request(
            f"https://127.0.0.1:{self.port}/{ACCOUNT}/{name}?restype=container",
            method="PUT",
            headers={
                "Authorization": f"Bearer {storage_token(lifetime_seconds=60)}",
                "x-ms-version": "2021-12-02",
                "Content-Length": "0",
            },
        )
        context = ssl.create_default_context(cafile=str(self._certificate))
        with urllib.request.urlopen(put, context=context):
            pass

    def store(self, container: str, folder: str) -> Store:
        """A folder of a container, opened with the account's key."""
        options = {"account_name": ACCOUNT, "account_key": ACCOUNT_KEY}
        return Store(f"az://{container}/{folder}", options, self.environment)


def _sign_certificate(certificate_path: Path, key_path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.timezone.utc)
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


@contextlib.contextmanager
def _running(
    command: list[str],
    port: int,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[None]:
    """A server, once it listens, until the end."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
        cwd=folder,
    )

    def listens() -> bool:
        assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    try:
        wait_until(listens, timeout_seconds=60.0)
        yield
    finally:
        process.terminate()
        process.wait()


# -- installing azurite --------------------------------------------------------------------------


def _azurite() -> Path:
    return Path(os.environ["SPECTRA_AZURITE"], "node_modules", ".bin", "azurite-blob")


def _missing_node() -> str | None:
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"{' and '.join(missing)} are not on the PATH" if missing else None


def _install(folder: str) -> None:
    manifest = Path(folder, "node_modules", "azurite", "package.json")
    if manifest.exists() and f'"version": "{AZURITE.partition("@")[2]}"' in manifest.read_text():
        return
    if reason := _missing_node():
        sys.stdout.write(f"azurite is left out: {reason}\n")
        return
    subprocess.run(
        ["npm", "install", "--prefix", folder, "--no-fund", "--no-audit", AZURITE], check=True
    )


if __name__ == "__main__":
    _install(sys.argv[1])
