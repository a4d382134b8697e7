"""A certificate that nobody can accept is an outage; one that opsnb does not know is not."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from opsnb.checks.running import Measurement
from opsnb.config.target import Target
from opsnb.errors import Misconfigured, Unreachable
from opsnb.model import Finding, Status
from opsnb.systems import database
from opsnb.systems.database.settings import Database

_AUTHORITY = """
[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = names
[names]
commonName = supplied
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority of one's own, and two certificates that it signed."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    (folder / "ca.cnf").write_text(_AUTHORITY)
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01\n")
    sign = "openssl ca -batch -config ca.cnf -in server.csr -cert ca.pem -keyfile ca.key -notext"
    commands = [
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Test -keyout ca.key -out "
        "ca.pem -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign",
        "openssl req -newkey rsa:2048 -nodes -subj /CN=old -keyout server.key -out server.csr",
        f"{sign} -extfile ext -startdate 20200101000000Z -enddate 20200201000000Z -out expired.pem",
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 2 -extfile ext "
        "-out valid.pem",
    ]
    for command in commands:
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


def _serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Agree to TLS as PostgreSQL does, and shake hands, until the listener is closed."""
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            with client, suppress(OSError):
                client.recv(8)
                client.sendall(b"S")
                context.wrap_socket(client, server_side=True).recv(1)


@pytest.fixture
def port(certificates: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server with the certificate of that name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / request.param, certificates / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, context), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _pinged(port: int, roots: Path) -> Finding:
    url = f"postgresql://127.0.0.1:{port}/shop?sslmode=verify-full&sslrootcert={roots}"
    (found,) = Measurement(Target(name="shop", database=Database(url=url))).run([database.ping])
    return found


@pytest.mark.parametrize("port", ["expired.pem"], indirect=True)
def test_an_expired_certificate_is_an_outage(port: int, certificates: Path) -> None:
    found = _pinged(port, certificates / "ca.pem")
    assert (found.status, found.failure) == (Status.CRIT, Unreachable.__name__)
    assert found.message.endswith(
        "certificate has expired; renew its certificate, a restart does not help."
    )


@pytest.mark.parametrize("port", ["valid.pem"], indirect=True)
def test_an_authority_that_opsnb_does_not_know_is_a_matter_of_its_settings(
    port: int, certificates: Path
) -> None:
    found = _pinged(port, certificates / "valid.pem")
    assert (found.status, found.failure) == (Status.UNKNOWN, Misconfigured.__name__)
    assert "correct it in the database_url of target shop" in found.message
