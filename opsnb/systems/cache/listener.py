"""What listens at a Redis URL: a wrong scheme is not a server that is down."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from opsnb.systems import certificates
from opsnb.systems.cache.server import Server

_PORT = 6379
_LIMIT_S = 1.0

_REFUSED_CERTIFICATE = (
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "TLSV1_ALERT_UNKNOWN_CA",
)
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
_EOF = "UNEXPECTED_EOF_WHILE_READING"


def own_fault(cause: BaseException, server: Server) -> str:
    """Return what is wrong with our URL, and the fix; empty for nothing.

    The service may have another URL, so this is no outage.
    """
    setting = server.setting
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _untrusted(cause, setting)
    if isinstance(cause, ssl.SSLError):
        return _tls_fault(cause.reason or "", server)
    is_cut = isinstance(cause, ConnectionResetError | BrokenPipeError) or "closed" in str(cause)
    if is_cut and speaks_tls(server):
        return f"it speaks TLS there; write rediss:// in {setting}"
    return ""


def _untrusted(cause: ssl.SSLCertVerificationError, setting: str) -> str:
    why = cause.verify_message.rstrip(".")
    if certificates.is_of_unknown_authority(cause):
        return (
            f"its certificate is not trusted ({why}); name its authority: "
            f'{setting} = "rediss://...?ssl_ca_certs=/path/ca.pem"'
        )
    if certificates.is_of_another_name(cause):
        return f"{why}; write a name of its certificate in {setting}"
    return ""


def _tls_fault(reason: str, server: Server) -> str:
    setting = server.setting
    if "CERTIFICATE_REQUIRED" in reason:
        return (
            "it asks for a client certificate; add ssl_certfile=/path/client.pem&"
            f"ssl_keyfile=/path/client.key to {setting}"
        )
    if reason in _REFUSED_CERTIFICATE:
        return f"it refuses our client certificate; correct ssl_certfile in {setting}"
    if reason in _NO_TLS or (reason == _EOF and speaks_plainly(server)):
        return f"it does not speak TLS there; write redis:// in {setting}, or name its TLS port"
    return ""


def speaks_plainly(server: Server) -> bool:
    """Return whether Redis answers there without TLS, where the URL asks for TLS."""
    place = _place(server, "rediss")
    if place is None:
        return False
    try:
        with socket.create_connection(place, _LIMIT_S) as client:
            client.sendall(b"PING\r\n")
            return client.recv(1) in (b"+", b"-")
    except OSError:
        return False


def speaks_tls(server: Server) -> bool:
    """Return whether TLS is spoken there, where the URL asks for none."""
    place = _place(server, "redis")
    if place is None:
        return False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent after the handshake
    try:
        with (
            socket.create_connection(place, _LIMIT_S) as client,
            context.wrap_socket(client, server_hostname=place[0]),
        ):
            return True
    except (OSError, ValueError):
        return False


def _place(server: Server, scheme: str) -> tuple[str, int] | None:
    """Return host and port of a URL of this scheme; None for Sentinel, which hides the server."""
    parts = urlsplit(server.url)
    if parts.scheme != scheme:
        return None
    return parts.hostname or "localhost", parts.port or _PORT
