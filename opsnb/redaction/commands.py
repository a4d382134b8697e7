# ruff: noqa: E501 - a pattern is read best on one line
"""Passwords in commands and in statements."""

from __future__ import annotations

from opsnb.redaction.rules import rule
from opsnb.redaction.words import PROSE, is_credential

_STOP = frozenset({
    "is", "to", "and", "or", "option", "flag", "from", "was", "with", "for", "in", "on", "are",
    "not", "the", "a", "an", "must", "cannot", "can", "should",
})  # fmt: skip
_ARGUMENT = r"(?:\"(?P<double>[^\"\n]{1,512})\"|'(?P<single>[^'\n]{1,512})'|(?P<bare>[^\s\"'|;&<>)@\\][^\s\"'|;&<>)\\]{0,511}))"
_LITERAL = r"'(?P<value>(?:[^'\n]|''){1,512})'"


def _is_argument(value: str) -> bool:
    return (
        value[0] not in "<$*{[%-" and value.lower() not in _STOP and value not in ("?", ":password")
    )


def _is_redis(value: str) -> bool:
    return is_credential(value, shortest=4) and value.lower() not in PROSE


# The command, up to its password.
_COMMANDS: tuple[tuple[str, str], ...] = (
    ("-cli", r"\b(?:redis|valkey|keydb|dragonfly)-cli\b[^\n|;&]{0,300}?[ \t](?:-a|--pass)[ \t]+"),
    ("redis-benchmark memtier", r"\b(?:redis-benchmark|memtier_benchmark)\b[^\n|;&]{0,300}?[ \t]-a[ \t]+"),
    ("mysql mariadb mycli mydumper xtrabackup", r"\b(?:mysql\w*|mariadb[\w-]*|mycli|mydumper|xtrabackup)\b[^\n|;&]{0,300}?[ \t]-p(?=[^\s'\"-])"),
    ("mysql mariadb", r"\b(?:mysql\w*|mariadb[\w-]*)\b[^\n|;&]{0,300}?[ \t]-p(?=['\"])"),
    ("sshpass", r"\bsshpass[ \t]+-p[ \t]*"),
    ("mongo", r"\bmongo\w*\b[^\n|;&]{0,300}?[ \t]-p[ \t]+"),
    ("docker podman helm az_ oc_ buildah skopeo", r"\b(?:docker|podman|helm(?: registry)?|az|oc|buildah|skopeo)[ \t]+login\b[^\n|;&]{0,300}?[ \t]-p[ \t]+"),
    ("sqlcmd bcp isql", r"\b(?:sqlcmd|bcp|isql)\b[^\n|;&]{0,300}?[ \t]-P[ \t]*"),
    ("ldap", r"\bldap\w+\b[^\n|;&]{0,300}?[ \t]-w[ \t]+"),
    ("zip", r"\b(?:un)?zip\b[^\n|;&]{0,200}?[ \t]-P[ \t]*"),
    ("7z", r"\b7z[ar]?\b[^\n|;&]{0,200}?[ \t]-p(?=\S)"),
    ("-pass pass:", r"-pass(?:in|out)?[ \t]+pass:"),
    ("--from-literal", r"--from-literal[= ][\w.-]{1,64}="),
    ("rabbitmqctl", r"\brabbitmqctl\b[^\n|;&]{0,80}?[ \t](?:add_user|change_password|authenticate_user)[ \t]+\S+[ \t]+"),
    ("htpasswd", r"\bhtpasswd[ \t]+-\w*b\w*[ \t]+\S+[ \t]+\S+[ \t]+"),
    ("smbclient mount.cifs net_rpc rpcclient", r"\b(?:smbclient|rpcclient|net)\b[^\n|;&]{0,200}?[ \t]-U[ \t]*\S+?%"),
    ("snmp", r"\bsnmp\w+\b[^\n|;&]{0,200}?[ \t]-[cAX][ \t]+"),
    ("sqlplus", r"\bsqlplus\b[^\n|;&]{0,80}?[ \t][\w$#.]+/"),
    ("vault_login", r"\bvault login[ \t]+(?:-method=\w+[ \t]+)?"),
    ("ipmitool", r"\bipmitool\b[^\n|;&]{0,200}?[ \t]-P[ \t]+"),
    ("lftp ncftp", r"\b(?:lftp|ncftp\w*)\b[^\n|;&]{0,200}?[ \t]-(?:u[ \t]*[^\s,]+,|p[ \t]+)"),
    ("nats", r"\bnats\b[^\n|;&]{0,200}?--password[ \t]+"),
    ("amqp kcat kafkacat", r"\b(?:kcat|kafkacat)\b[^\n|;&]{0,300}?-X[ \t]*sasl\.password="),
    ("curl wget http_ etcdctl", r"\b(?:curl|wget|https?|etcdctl)\b[^\n|;]{0,400}?[ \t](?:-u|--user|--proxy-user|-a)[= \t]+[\"']?[^\s:\"'/]{1,128}:"),
)  # fmt: skip
COMMANDS = (
    *(rule(needles, command + _ARGUMENT, _is_argument) for needles, command in _COMMANDS),
    rule("</", r"(?i)<\w{0,32}(?:password|passwd|passphrase|secret|token|apikey)>(?P<value>[^<>\n]{3,512})</", _is_argument),
    rule("value=", r"(?i)(?:key|name|id)=[\"'][\w:.-]{0,64}(?:password|passwd|secret|token|apikey)[\"']\s{1,8}value=[\"'](?P<value>[^\"'\n]{3,512})", _is_argument),
    rule("login=", r"\blogin=[\w.-]{1,64}:(?P<value>[^\s:]{3,256})", _is_argument),
    rule("login_", r"\bLOGIN \"?[^\s\"]{1,128}\"? \"(?P<value>[^\"\n]{3,256})\"", _is_argument),
    rule("rocommunity rwcommunity", r"\br[ow]community6?[ \t]+(?P<value>\S{3,128})", _is_argument),
    rule("chpasswd", r"echo[ \t]+[\"']?[\w.-]+:(?P<value>[^\s\"'|]{1,256})[\"']?[ \t]*\|[ \t]*(?:sudo[ \t]+)?chpasswd"),
    rule("auth_", r"\bAUTH (?:PLAIN|LOGIN|XOAUTH2|CRAM-MD5)[ \t]+(?P<value>[A-Za-z0-9+/=]{8,2048})"),
    rule("auth", r"(?<![A-Za-z])AUTH\"?[ \t]+(?:\"?default\"?[ \t]+)?\"?(?P<value>[^\s\"'<>,.()]{4,512})", _is_redis),
    rule("setuser", r"(?i)\bacl\"?[ \t]+\"?setuser\b[^\n]{0,200}?[ \t]\"?[>#](?P<value>[^\s\"]{3,256})"),
    rule("identified", r"(?i)\bidentified(?:[ \t]+with[ \t]+[\w'\"`]+)?[ \t]+(?:by|as)[ \t]+(?:password[ \t]+)?" r"(?:'(?P<single>(?:[^'\n]|''){1,512})'|\"(?P<double>[^\"\n]{1,512})\"|(?P<bare>[^\s;'\"]{3,256}))", _is_argument),
    rule("crypt password", r"(?i)\b(?:crypt|password|old_password|digest_password|pgp_sym_encrypt|pgp_sym_decrypt|aes_encrypt|aes_decrypt)" r"[ \t]*\((?:[^()'\n]{0,120},[ \t]*)?'(?P<value>(?:[^'\n]|''){1,512})'", _is_argument),
    rule("password", r"(?i)\bset[ \t]+password\b[^\n=]{0,120}=[ \t]*(?:password\()?'(?P<value>(?:[^'\n]|''){1,512})'", _is_argument),
    rule("auth", r"(?i)\b(?:auth[ \t]?=[ \t]?|\w{0,16}basic_?auth)\([ \t]*[\"'][^\"'\n]{0,128}[\"'][ \t]*,[ \t]*[\"'](?P<value>[^\"'\n]{1,256})[\"']"),
    rule(":5432: :5433: :6432: :*:", r"(?m)(?:^|[\s'\"])[\w.*-]{1,128}:(?:\d{4,5}|\*):[\w.*-]{1,64}:[\w.*-]{1,64}:(?P<value>[^\s:'\"]{3,256})$"),
)  # fmt: skip
