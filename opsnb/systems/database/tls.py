"""Why PostgreSQL's certificate is not accepted; libpq says only that it is not."""

from __future__ import annotations

import socket
import ssl
import struct
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from opsnb.config.target import Target
from opsnb.systems import certificates
from opsnb.systems.database.settings import Database

_SSL_REQUEST = struct.pack("!II", 8, 80877103)  # its length, and the code of the protocol
_ROOTS = "~/.postgresql/root.crt"
_PORT = "5432"


def broken_certificate(target: Target) -> str:
    """Return what makes the certificate useless to everyone, as `certificate has expired`.

    Empty where opsnb's own settings may be the reason: an authority that is not known to it, or a
    name of the server that the certificate does not have.
    """
    parts = {
        name: str(part) for name, part in conninfo_to_dict(Database.of(target).conninfo).items()
    }
    try:
        context = _context(parts.get("sslrootcert", ""))
    except (OSError, ValueError):
        return ""
    hosts = (parts.get("hostaddr") or parts.get("host", "localhost")).split(",")
    ports = parts.get("port", _PORT).split(",")
    for place, host in enumerate(hosts):
        port = ports[place] if len(ports) == len(hosts) else ports[0]
        error = _refused(host, int(port or _PORT), context, target.time_limit_s)
        if error and not (
            certificates.is_of_unknown_authority(error) or certificates.is_of_another_name(error)
        ):
            return error.verify_message.rstrip(".")
    return ""


def _context(roots: str) -> ssl.SSLContext:
    """Return what verifies a certificate as libpq does, but for the name."""
    own = Path(roots or _ROOTS).expanduser()
    context = ssl.create_default_context(cafile=None if roots == "system" else str(own))
    context.check_hostname = False
    return context


def _refused(
    host: str, port: int, context: ssl.SSLContext, limit_s: float
) -> ssl.SSLCertVerificationError | None:
    """Return the error of a handshake that fails for the server's certificate."""
    try:
        with socket.create_connection((host, port), limit_s) as client:
            client.sendall(_SSL_REQUEST)
            if client.recv(1) == b"S":
                context.wrap_socket(client, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return error
    except (OSError, ValueError):
        return None
    return None
