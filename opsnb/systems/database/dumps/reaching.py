"""Code in a dump that would reach out of the database that it is restored into."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from opsnb.systems.database.dumps.contents import Unsafe, unsafe
from opsnb.systems.database.dumps.script import Script
from opsnb.systems.database.dumps.statements import NotSql, Statement
from opsnb.systems.database.dumps.tokens import Token
from opsnb.systems.database.dumps.vocabulary import EVALUATED, words

LEAVES = "leads out of the database that is restored"

_REACHING = re.compile(
    r"pg_(read|ls|stat|write)_\w*(file|dir)\w*|pg_ls_\w+|pg_file_\w+|pg_logdir_ls|pg_sync_\w+"
    r"|lo_(import|export)|dblink\w*|pg_(terminate|cancel)_backend|pg_reload_conf"
    r"|pg_rotate_logfile\w*|pg_promote|pg_switch_\w+|pg_create_\w+|pg_drop_replication_slot"
    r"|pg_copy_\w+_replication_slot|pg_replication_\w+|pg_(backup_)?(start|stop)(_backup)?"
    r"|pg_logical_\w+|pg_wal_replay_\w+|pg_notify|pg_sleep\w*|pg_advisory_\w+"
    r"|(query|table|cursor|schema|database)_to_xml\w*|pg_stat_reset\w*|pg_import_\w+"
)
UNSAFE_EXTENSION = re.compile(
    r"pl\w*u|plsh|pljava|adminpack|\w*_?fdw|dblink|pg_cron|pg_background|pg_net|http|pgsql_http"
    r"|aws_\w+|pg_curl|pg_task|pg_execute\w*|file_textarray_fdw|xml2|pg_tle|pglogical"
)
_WORD = re.compile(r"\w+")
_REACHING_CODE = re.compile(
    rb"\bprogram\b|\bcopy\b[^;]*?\b(?:from|to)\s*(?:''|')|pg_read_(?:binary_)?file|pg_ls_dir"
    rb"|\blo_(?:im|ex)port|\balter\s+system|dblink|\bexecute\b|\bset\s+(?:session|role)\b",
    re.IGNORECASE,
)
SHARED = words(
    "pg_authid pg_auth_members pg_database pg_db_role_setting pg_parameter_acl pg_tablespace"
    " pg_replication_origin pg_shdepend pg_shdescription pg_shseclabel pg_subscription"
)
"""PostgreSQL's own tables that hold the whole server's objects."""
_CHANGES = words("alter create drop")
_OF_THE_SERVER = words(
    "role user group database tablespace system extension server foreign subscription event"
)
"""Objects outside of a single database."""
_GIVES = words("grant revoke reassign")


def _code(literal: str) -> list[Token]:
    """Return the tokens of a function's body, or only its words if it cannot be split."""
    mark = re.match(r"\$\w*\$|[eE]?'", literal)
    edge = mark[0].lstrip("eE") if mark else ""
    text = literal.removeprefix(mark[0] if mark else "").removesuffix(edge)
    if edge == "'":
        text = text.replace("''", "'")
    try:
        items = list(Script([text.encode()]))
    except NotSql:
        return [Token("word", word.lower(), 0) for word in _WORD.findall(text)]
    return [token for item in items if isinstance(item, Statement) for token in item.tokens]


def _has_reaching(tokens: list[Token]) -> bool:
    """Whether code grants rights, changes the server's objects, or calls a function that does."""
    for at, (token, after) in enumerate(pairwise([*tokens, Token("sign", ";", 0)])):
        text, is_word = token.text.lower(), token.kind == "word"
        if (
            (is_word and text in _CHANGES and after.text in _OF_THE_SERVER)
            or (is_word and text in _GIVES)
            or (after.text == "(" and _REACHING.fullmatch(text))
            or (token.kind == "name" and "\\" in text)  # U&"..." may say anything
            or (is_word and text in ("into", "update", "from") and _is_shared(tokens[at + 1 :]))
        ):
            return True
    return False


def _is_shared(tokens: list[Token]) -> bool:
    """Whether the name that begins here is a table of the whole server."""
    names = [token.text for token in tokens[:4] if token.kind in ("word", "name")]
    names = [name for name in names if name not in ("only", "pg_catalog")]
    return bool(names) and names[0] in SHARED


def demand_no_reaching(statement: Statement) -> None:
    """Raise Unsafe if a statement calls a function that reaches out of the database."""
    for name, after in pairwise(statement.tokens):
        called = after.text == "(" and name.kind in ("word", "name")
        if called and _REACHING.fullmatch(name.text.lower()):
            raise unsafe(statement, name, LEAVES)


class Code:
    """The functions and views of a dump, and which of them the restore itself would run."""

    def __init__(self) -> None:
        self._defined: dict[str, frozenset[str]] = {}
        """Functions and views, with the words that they mention."""
        self._reaching: set[str] = set()
        """Functions and views that reach out of the database when they run."""
        self._evaluated: list[tuple[int, frozenset[str]]] = []
        """Names that the restore itself may run, with the line of the statement."""

    def note(self, statement: Statement, kind: str, name: str) -> None:
        """Note a function or view that is defined, or the ones that a statement uses."""
        if kind in ("function", "procedure", "view"):
            text = statement.text.decode(errors="replace")
            self._defined[name] = frozenset(_WORD.findall(text) + _WORD.findall(text.lower()))
            if _REACHING_CODE.search(statement.text) or _reaches(statement):
                self._reaching.add(name)
        elif kind in EVALUATED and self._defined:
            used = frozenset(token.text for token in statement.tokens) & self._defined.keys()
            if used:
                self._evaluated.append((statement.line, frozenset(used)))

    def running(self) -> Iterator[Unsafe]:
        """Yield the dump's own code that the restore would run and that reaches out."""
        reaching = set(self._reaching)
        while more := {name for name, used in self._defined.items() if used & reaching} - reaching:
            reaching |= more
        for line, used in self._evaluated:
            if found := sorted(used & reaching):
                yield Unsafe(line, found[0], f"would run, and {LEAVES}")


def _reaches(statement: Statement) -> bool:
    """Whether a function or view reaches out of the database when it runs."""
    tokens = statement.tokens
    return _has_reaching(tokens) or any(
        _has_reaching(_code(token.text)) for token in tokens if token.kind == "string"
    )
