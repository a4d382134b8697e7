"""The connection to the service's HTTP API, and how to fix one that fails."""

from __future__ import annotations

import functools
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
import httpx

from opsnb.config.target import Target
from opsnb.errors import BadAnswer, Misconfigured, NotConfigured, TimedOut, Unreachable
from opsnb.redaction import safe_url
from opsnb.systems import certificates
from opsnb.systems.api.settings import Api

SYSTEM = "api"


@contextmanager
def client(target: Target) -> Iterator[httpx.Client]:
    """Yield an HTTP client for the target's API; httpx's errors come out as ServiceErrors.

    It uses no proxy and follows no redirect: checks measure the API itself.
    """
    if not Api.of(target).url:
        raise NotConfigured(SYSTEM, f"Target {target.name} names no api_url in opsnb.toml.")
    where = f"The API at {safe_url(Api.of(target).url)}"
    try:
        with httpx.Client(
            base_url=Api.of(target).url.partition("?")[0],
            timeout=target.time_limit_s,
            trust_env=False,
            verify=_trust(target),
            headers={
                "Accept-Encoding": "identity",
                "Cache-Control": "no-cache",
                **Api.of(target).headers,
            },
        ) as http:
            yield http
    except httpx.TimeoutException as error:
        message = f"{where} did not respond within {target.time_limit_s:g} s."
        raise TimedOut(SYSTEM, message) from error
    except httpx.RemoteProtocolError as error:
        _demand_scheme(target, error)
        message = f"{where} sent an invalid response: {str(error).rstrip('.')}."
        if "without sending a response" in message:
            raise Unreachable(SYSTEM, message) from error
        raise BadAnswer(SYSTEM, message) from error
    except httpx.TransportError as error:
        _demand_scheme(target, error)
        _demand_trust(target, error)
        raise Unreachable(SYSTEM, f"{where} cannot be reached: {_reason(error)}.") from error
    except httpx.HTTPError as error:
        raise BadAnswer(SYSTEM, f"{where} sent an invalid response: {error}.") from error


def _trust(target: Target) -> ssl.SSLContext | bool:
    """Return the authorities that verify the API's certificate. Raises Misconfigured."""
    if not Api.of(target).url.startswith("https:") or not Api.of(target).verify:
        return False  # reading the authorities takes longer than a request; plain HTTP needs none
    try:
        return _authorities(
            Api.of(target).ca, *map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR"))
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Misconfigured(
            SYSTEM,
            f'The authority of {table(target)}, ca = "{Api.of(target).ca}", cannot be read: '
            f"{reason.rstrip('.')}.",
        ) from error


def is_verified(target: Target) -> bool:
    """Return whether the API's certificate is verified, or it has none."""
    return Api.of(target).verify or not Api.of(target).url.startswith("https:")


@functools.cache
def _authorities(ca: str, *_: str | None) -> ssl.SSLContext:
    """Return the certificate authorities of the machine, of the environment, and `ca`."""
    context = ssl.create_default_context()  # which reads SSL_CERT_FILE and SSL_CERT_DIR
    if not any(_):
        context.load_verify_locations(certifi.where())
    if ca:
        folder = Path(ca).is_dir()
        context.load_verify_locations(None if folder else ca, ca if folder else None)
    return context


def table(target: Target) -> str:
    """Return the name of the API's table in opsnb.toml, as messages write it."""
    return f"[targets.{target.name}.api]"


def _reason(error: httpx.TransportError) -> str:
    """Return the operating system's words for `error`, without its number."""
    text = str(error) or type(error).__name__
    text = text.partition("] ")[2] or text
    text = text.partition(" (_ssl")[0]
    if is_untrusted(error):
        return certificates.to_renew(text)
    return text


def _demand_trust(target: Target, error: httpx.TransportError) -> None:
    """Raise Misconfigured when opsnb lacks an authority that the API's users may have."""
    cause = _untrusted(error)
    if cause is None:
        return
    why = cause.verify_message.rstrip(".")
    where = f"The API at {safe_url(Api.of(target).url)} cannot be asked"
    if certificates.is_of_unknown_authority(cause):
        raise Misconfigured(
            SYSTEM,
            f"{where}: its certificate is not trusted ({why}); name the authority that signed it: "
            f'ca = "/path/ca.pem" in {table(target)}, or set SSL_CERT_FILE.',
        ) from error
    if certificates.is_of_another_name(cause):
        fix = f"write a name of its certificate in url of {table(target)}"
        raise Misconfigured(SYSTEM, f"{where}: {why}; {fix}.") from error


def _demand_scheme(target: Target, error: httpx.TransportError) -> None:
    """Raise Misconfigured when the API uses TLS and api_url does not, or the reverse."""
    url = httpx.URL(Api.of(target).url)
    where = f"The API at {safe_url(Api.of(target).url)} cannot be asked"
    if url.scheme == "https":
        if any(words in str(error).lower() for words in _NO_TLS):
            fix = "write http:// in api_url, or name its TLS port"
            raise Misconfigured(SYSTEM, f"{where}: it does not speak TLS there; {fix}.") from error
    elif not isinstance(error, httpx.ConnectError) and _speaks_tls(url):
        fix = "write https:// in api_url"
        raise Misconfigured(SYSTEM, f"{where}: it speaks TLS there; {fix}.") from error


_NO_TLS = ("wrong version number", "wrong_version_number", "record layer failure", "record_layer")
_PROBE_S = 1.0


def _speaks_tls(url: httpx.URL) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent: only the handshake counts
    place = (url.host, url.port or 80)
    try:
        with (
            socket.create_connection(place, _PROBE_S) as client,
            context.wrap_socket(client, server_hostname=url.host),
        ):
            return True
    except (OSError, ValueError):
        return False


def is_untrusted(error: BaseException | None) -> bool:
    """Return whether the request failed only because the certificate is not trusted."""
    return _untrusted(error) is not None


def _untrusted(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None
