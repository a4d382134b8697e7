# ruff: noqa: E501 - a pattern is read best on one line
"""Passwords in shell commands and SQL statements."""

from __future__ import annotations

from opsnb.redaction.rules import Rules, rule
from opsnb.redaction.words import PROSE, is_credential

_STOP = frozenset({
    "is", "to", "and", "or", "option", "flag", "from", "was", "with", "for", "in", "on", "are",
    "not", "the", "a", "an", "must", "cannot", "can", "should",
})  # fmt: skip
_ARGUMENT = r"(?:\"(?P<double>[^\"\n]{1,512})\"|'(?P<single>[^'\n]{1,512})'|(?P<bare>[^\s\"'|;&<>)@\\][^\s\"'|;&<>)\\]{0,511}))"
_FIELD = r"(?:[^\s:'\"\\]|\\[:\\])"  # of .pgpass
_LITERAL = r"'(?P<value>(?:[^'\n]|''){1,512})'"


def _is_argument(value: str) -> bool:
    return (
        value[0] not in "<$*{[%-" and value.lower() not in _STOP and value not in ("?", ":password")
    )


def _is_redis(value: str) -> bool:
    return is_credential(value, shortest=4) and value.lower() not in PROSE


# The command up to its password.
_COMMANDS: tuple[tuple[str, str], ...] = (
    ("-cli", r"\b(?:redis|valkey|keydb|dragonfly)-cli\b[^\n|;&]{0,300}?[ \t](?:-a|--pass)[ \t]+"),
    ("redis-benchmark memtier", r"\b(?:redis-benchmark|memtier_benchmark)\b[^\n|;&]{0,300}?[ \t]-a[ \t]+"),
    ("mysql mariadb mycli mydumper xtrabackup", r"\b(?:mysql\w*|mariadb[\w-]*|mycli|mydumper|xtrabackup)\b[^\n|;&]{0,300}?[ \t][\"']?-p(?=[^\s'\"-])"),
    ("mysql mariadb", r"\b(?:mysql\w*|mariadb[\w-]*)\b[^\n|;&]{0,300}?[ \t]-p(?=['\"])"),
    ("sshpass", r"\bsshpass[ \t]+-p[ \t]*"),
    ("mongo", r"\bmongo\w*\b[^\n|;&]{0,300}?[ \t]-p[ \t]*(?![ \t-])"),
    ("mosquitto", r"\bmosquitto_\w+\b[^\n|;&]{0,300}?[ \t]-P[ \t]+"),
    ("cqlsh", r"\bcqlsh\b[^\n|;&]{0,300}?[ \t]-p[ \t]+"),
    ("openssl_enc", r"\bopenssl enc\b[^\n|;&]{0,300}?[ \t]-k[ \t]+"),
    ("ssh-keygen", r"\bssh-keygen\b[^\n|;&]{0,300}?[ \t]-[NP][ \t]+(?!(?:\"\"|''))"),
    ("net_use", r"(?i)\bnet use\b[^\n|;&]{0,200}?/user:\S+[ \t]+"),
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
    ("curl wget http_ etcdctl", r"\b(?:curl|wget|https?|etcdctl)\b[^\n|;]{0,400}?[ \t](?:-[a-zA-Z]{0,6}u[= \t]*|(?:--user|--proxy-user|-a)[= \t]+)[\"']?[^\s:\"'/]{1,128}:(?!//)"),
)  # fmt: skip
_NAMED = (
    r"[\w.-]{0,64}(?:password|passwd|passphrase|secret|token|api_?key|access_?key|private_?key)"
)


def _is_value(value: str) -> bool:
    return _is_argument(value) and value.lower() not in PROSE and not value.isdigit()


def _is_password(value: str) -> bool:
    """Whether a word after "password" is one: it has digits, lower and upper case letters."""
    has = (str.isdigit, str.islower, str.isupper)
    return all(any(map(each, value)) for each in has)


COMMANDS = Rules((
    *(rule(needles, command + _ARGUMENT, _is_argument) for needles, command in _COMMANDS),
    rule("</ ]]>", r"(?i)<\w{0,32}(?:password|passwd|passphrase|secret|token|apikey)(?: [^<>\n]{0,80})?>(?:<!\[CDATA\[)?(?P<value>[^<>\n\]]{3,512})(?:</|\]\]>)", _is_argument),
    rule("</", r"(?i)<\w{1,32} (?:key|name|id)=[\"'][\w:.-]{0,64}(?:password|passwd|secret|token|apikey)[\"']>(?P<value>[^<>\n]{3,512})</", _is_value),
    rule("password", r"(?i)\bpassword(?:\s|/\*[^*\n]{0,80}\*/){0,8}(?:[EN]|U&)?'(?P<value>(?:[^'\\\n]|''|\\[^\n]){1,512})'", _is_argument),
    rule("password", r"(?i)\bpassword\s{1,8}\$\w{0,32}\$(?P<value>[^$\n]{1,512})\$\w{0,32}\$", _is_argument),
    rule("password", r"(?i)\bwith\s+(?:encrypted\s+)?password\s+\"(?P<value>[^\"\n]{1,512})\"", _is_argument),
    rule("set", rf"(?i)\bset(?:\s+session|\s+local)?\s+[\"']?{_NAMED}[\"']?\s+to\s+'(?P<value>(?:[^'\n]|''){{1,512}})'", _is_value),
    rule("config(", rf"(?i)\bset_config\(\s*'{_NAMED}'\s*,\s*'(?P<value>(?:[^'\n]|''){{1,512}})'", _is_value),
    rule("pwd={ password={", r"(?i);[ \t]*(?:pwd|password)=\{(?P<value>(?:[^{}\n]|\}\}){1,256})\}", _is_argument),
    rule("value", rf"(?i)\b(?:name|key)[\"']?\s?[:=]\s?[\"']?{_NAMED}[\"']?(?:,\s{{0,8}}|[ \t]*\n[ \t]*)[\"']?value[\"']?\s?[:=]\s?(?:\"(?P<double>[^\"\n]{{3,512}})\"|'(?P<single>[^'\n]{{3,512}})'|(?P<bare>[^\s\"',}}{{]{{3,512}}))", _is_value),
    rule(";s:", rf"(?i)\"{_NAMED}\";s:\d+:\"(?P<value>[^\"\n]{{3,512}})\"", _is_value),
    rule("password secret token", r"(?i)\b(?:password|secret|token)\s->\s(?P<value>[^\s,)]{6,512})", lambda value: is_credential(value, shortest=6)),
    rule("password passphrase key token", r"(?i)\b(?:password|passphrase|api[ _-]?key|token)(?: (?:was|is|of))? [\"'`](?P<value>[^\"'`\s]{6,256})[\"'`]", lambda value: is_credential(value, shortest=6)),
    rule("password", r"(?i)\bpassword[ \t](?:was |is |of )?(?P<value>[\w!@#$%^&*+=.~-]{8,128})(?=[\s,;]|$)", _is_password),
    rule("auth", r"(?i)\"auth2?\"[ \t]+(?:\"[^\"\s]{1,64}\"[ \t]+)?\"(?P<value>[^\"\n]{4,512})\"", _is_argument),
    rule(")_\"auth", r"(?i)\d\) \"auth\"\s{1,16}\d\) (?:\"[^\"\s]{1,64}\"\s{1,16}\d\) )?\"(?P<value>[^\"\n]{4,512})\"", _is_argument),
    rule("auth", r"(?i)\bname[\"']?\s?:\s?[\"']auth[\"'],\s{0,16}[\"']?args[\"']?\s?:\s?\[\s{0,16}(?:[\"'][^\"'\n]{1,64}[\"'],\s{0,16})?[\"'](?P<value>[^\"'\n]{1,512})[\"']"),
    rule("auth", r"(?i)(?:\b|(?<=\\n))auth(?:\\+r\\+n|\r\n)\$\d+(?:\\+r\\+n|\r\n)(?:default(?:\\+r\\+n|\r\n)\$\d+(?:\\+r\\+n|\r\n))?(?P<value>[^\s\\]{3,256})"),
    rule("user_", r"\buser [\w.-]{1,64} (?:on|off)\b[^\n]{0,200}?[ \"](?:>(?P<plain>[^\s\"]{3,256})|#(?P<hash>[0-9a-f]{64}))"),
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
    rule(":5432: :5433: :6432: :*:", rf"(?m)(?:^|[\s'\"])[\w.*-]{{1,128}}:(?:\d{{4,5}}|\*):[\w.*-]{{1,64}}:[\w.*-]{{1,64}}:(?P<value>{_FIELD}{{3,256}})$"),
    rule(":", rf"(?m)^[\w.*-]{{1,128}}:\d{{4,5}}:(?!\d+:)[\w.*-]{{1,64}}:[\w.*-]{{1,64}}:(?P<value>{_FIELD}{{8,256}})$", lambda value: is_credential(value) and "=" not in value),
))  # fmt: skip
