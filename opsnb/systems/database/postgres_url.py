"""A service's PostgreSQL URL, converted to one that PostgreSQL's own library, libpq, takes.

A service's `DATABASE_URL` often has parameters that only its ORM or driver knows. In every runbook,
opsnb ignores these, reads `sslmode=no-verify` as `prefer`, and refuses anything else that libpq
does not know when it loads the target.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from opsnb.errors import did_you_mean


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYWORDS = _words("""
    application_name channel_binding client_encoding connect_timeout dbname
    fallback_application_name gssdelegation gssencmode gsslib host hostaddr keepalives
    keepalives_count keepalives_idle keepalives_interval krbsrvname load_balance_hosts
    max_protocol_version min_protocol_version oauth_client_id oauth_client_secret oauth_issuer
    oauth_scope options passfile password port replication require_auth requirepeer
    scram_client_key scram_server_key service ssl_max_protocol_version ssl_min_protocol_version
    sslcert sslcertmode sslcompression sslcrl sslcrldir sslkey sslkeylogfile sslmode
    sslnegotiation sslpassword sslrootcert sslsni target_session_attrs tcp_user_timeout user
""")
"""The parameters that libpq takes, as of version 18."""

_DRIVERS = {
    # Prisma
    *_words("""
        schema connectionlimit pgbouncer pooltimeout sockettimeout statementcachesize sslaccept
        sslidentity
    """),
    # node-postgres and libraries on top of it
    *_words("""
        ssl uselibpqcompat encoding max min poolsize maxpoolsize minpoolsize poolmin poolmax
        idletimeoutmillis connectiontimeoutmillis querytimeout keepalive
        keepaliveinitialdelaymillis maxuses allowexitonidle synchronize logging dialect prepare
    """),
    # SQLAlchemy, asyncpg, Django
    *_words("""
        preparedstatementcachesize preparedstatementnamefunc commandtimeout asyncfallback
        serversettings directtls connmaxage connhealthchecks disableserversidecursors
        maxoverflow poolrecycle poolpreping echo
    """),
    # Rails
    *_words("""
        adapter pool checkouttimeout reapingfrequency preparedstatements advisorylocks variables
        schemasearchpath minmessages timeout idletimeout reconnect statementlimit
    """),
    # Doctrine, Laravel
    *_words("""
        serverversion charset prefix driver
    """),
    # JDBC
    *_words("""
        currentschema applicationname preparethreshold preparedstatementcachequeries
        preparedstatementcachesizemib rewritebatchedinserts logintimeout connecttimeout
        tcpkeepalive targetservertype loadbalancehosts hostrecheckseconds stringtype
        defaultrowfetchsize sslfactory sslfactoryarg binarytransfer allowencodingchanges
        loggerlevel loggerfile assumeminserverversion readonly readonlymode autosave
        preferquerymode escapesyntaxcallmode maxresultbuffer cleanupsavepoints
        logunclosedconnections unknownlength
    """),
    # Go
    *_words("""
        poolmaxconns poolminconns poolminidleconns poolmaxconnlifetime poolmaxconnlifetimejitter
        poolmaxconnidletime poolhealthcheckperiod defaultqueryexecmode statementcachecapacity
        descriptioncachecapacity binaryparameters disablepreparedbinaryresult sslinline
    """),
    # Crystal, Elixir, hosted poolers
    *_words("""
        initialpoolsize maxidlepoolsize retryattempts retrydelay socketoptions queuetarget
        queueinterval supa workaround poolmode
    """),
    # session settings, which a driver makes for its service
    *_words("""
        searchpath statementtimeout locktimeout idleintransactionsessiontimeout timezone
        datestyle intervalstyle defaulttransactionreadonly defaulttransactionisolation jit
    """),
}
"""Parameters that only an ORM or a driver knows, in lower case and without `_` and `-`.

opsnb needs none of them: it pools no connections, and names tables with their schemas.
"""

_VALUES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": (
        "any",
        "read-write",
        "read-only",
        "primary",
        "standby",
        "prefer-standby",
    ),
}
"""The values of parameters that take only these."""

_NUMBERS = ("connect_timeout", "keepalives", "tcp_user_timeout")

_SCHEME = re.compile(
    r"(?:jdbc:)?(?:postgres(?:ql)?|postgis|pgsql|psql|ecto|timescale(?:gis)?)(?:\+[a-z0-9_]+)?://",
    re.IGNORECASE,
)
_WORD = re.compile(r"\s*(?P<name>\w+)\s*=\s*(?P<value>'(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)")


@dataclass(frozen=True)
class Usable:
    """A URL as libpq takes it, and the parameters that were removed from it."""

    conninfo: str
    left_out: tuple[str, ...]
    """The parameters that only an ORM or a driver knows."""


def usable(url: str) -> Usable:
    """Return a service's URL or `key=value` words as libpq takes them.

    Raises ValueError with the end of a sentence that names the parameter and the fix, never a
    value.
    """
    if "://" not in url:
        return _of_words(url)
    scheme = _SCHEME.match(url)
    if scheme is None:
        if url.lower().startswith(("prisma+postgres:", "prisma:")):
            raise ValueError(
                "is only for Prisma's own client; write the database's postgresql:// URL"
            )
        raise ValueError("must start with postgres:// or postgresql://")
    rest, _, query = url[scheme.end() :].partition("?")
    _check_place(rest, query)
    left_out: list[str] = []
    kept = [f"{name}={value}" for name, value in _fitted(_parameters(query), left_out)]
    return Usable("postgresql://" + rest + ("?" + "&".join(kept) if kept else ""), tuple(left_out))


def _check_place(rest: str, query: str) -> None:
    """Raise ValueError if the end of the password is ambiguous, or a port is no number."""
    place, _, name = rest.partition("/")
    login, at, hosts = place.rpartition("@")
    ports = re.findall(r":([^:,\]]*)(?=,|$)", hosts if at else place)
    if (
        "@" in login + name
        or not _is_known_to_dns(hosts if at else place)
        or not all(not port or (port.isdecimal() and int(port) < 2**16) for port in ports)
        or re.search(r"\s", rest)
        or any("=" not in part for part in query.split("&") if part)
    ):
        raise ValueError(
            "is not a URL; percent-encode the special characters of its password, and write its "
            "port as a number and its host as DNS knows it"
        )


def _is_known_to_dns(hosts: str) -> bool:
    try:
        for host in unquote(hosts).split(","):
            host.partition(":")[0].encode("idna")
    except UnicodeError:
        return False
    return True


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        yield unquote(name), value


def _of_words(words: str) -> Usable:
    """Return `key=value` words as libpq takes them."""
    at, found = 0, list[tuple[str, str]]()
    text = words.strip()
    while at < len(text):
        word = _WORD.match(text, at)
        if word is None:
            raise ValueError(
                "must start with postgres:// or postgresql://, or be words like host=db dbname=shop"
            )
        found.append((word["name"], word["value"]))
        at = word.end()
    left_out: list[str] = []
    kept = [f"{name}={value}" for name, value in _fitted(iter(found), left_out)]
    return Usable(" ".join(kept), tuple(left_out))


def _fitted(
    parameters: Iterator[tuple[str, str]], left_out: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield the parameters that libpq takes, and put the others into `left_out`."""
    given = list(parameters)
    names = {name for name, _ in given}
    for name, value in given:
        plain = re.sub(r"[_-]", "", name.lower())
        word = unquote(value).strip("'").lower()
        if name == "sslmode" and word == "no-verify":
            yield name, "prefer"  # equally unsafe, and works for a server without TLS too
        elif name in KEYWORDS:
            _check_value(name, word)
            yield name, value
        elif plain == "ssl":
            if "sslmode" not in names and (mode := _ssl_mode(word)):
                yield "sslmode", mode
        elif plain == "socket":
            if "host" not in names:
                yield "host", re.sub(r"(?:/|%2F)\.s\.PGSQL\.\d+(?='?$)", "", value)
        elif plain in _DRIVERS:
            left_out.append(name)
        else:
            near = did_you_mean(name, KEYWORDS)
            fix = near.rstrip("?") + "?" if "Did you mean" in near else " Leave it out"
            raise ValueError(
                f"has the parameter '{name}', which PostgreSQL's library does not know.{fix}"
            )


def _check_value(name: str, word: str) -> None:
    known = _VALUES.get(name)
    if known and word not in known:
        raise ValueError(f"has an unusable {name}; write one of {', '.join(known)}")
    if name in _NUMBERS and not word.lstrip("-").isdecimal():
        raise ValueError(f"must have a number as its {name}")


def _ssl_mode(word: str) -> str:
    """Return the sslmode that a driver's `ssl=...` means; empty if none."""
    if word in _VALUES["sslmode"]:
        return word
    return "" if word in ("false", "0", "off", "no", "") else "require"
