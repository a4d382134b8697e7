"""What a dump says: only what pg_dump writes about one database passes, and its rows are counted.

A dump is data. Whatever would lead out of the database that it is restored into is refused before
anything is done: a command to psql, a statement about the server or another database, a program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from opsnb.redaction import outside
from opsnb.systems.database.lexing import CopyEnd, CopyRows, NotSql, Script, Statement, Token

Rows = dict[tuple[str, str], int]
"""How many rows each (schema, table) has."""

LARGE_OBJECTS = ("pg_catalog", "pg_largeobject_metadata")
"""The table by which large objects are counted."""

Role = Literal[
    "skip", "set", "needed", "row", "owner", "extra", "extension", "last", "tail", "transaction"
]
"""What becomes of a statement when it is restored.

`needed` must succeed; `extra` may be left out when the login may not; `last` is done after all
others, so that nothing of the dump's own code runs meanwhile.
"""


@dataclass(frozen=True)
class Meaning:
    """What a statement is about."""

    role: Role
    subject: str = ""
    """What it makes or changes: `extension hstore`, `view public.v`."""
    owner: str = ""
    """The login that it gives it to."""
    table: tuple[str, str] | None = None
    """Where its rows go."""


class Unsafe(Exception):
    """The dump says more than data; the message says where, what, and why that is refused."""

    def __init__(self, line: int, word: str, why: str) -> None:
        super().__init__(f"`{word}` {why}")
        self.line = line


@dataclass
class Contents:
    """What was read of a dump."""

    rows: Rows = field(default_factory=dict)
    tables: set[tuple[str, str]] = field(default_factory=set)
    extensions: set[str] = field(default_factory=set)
    owners: dict[str, list[str]] = field(default_factory=dict)
    """What belongs to each login."""
    superusers_only: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    """Event triggers and subscriptions."""
    tablespaces: set[str] = field(default_factory=set)
    calls: dict[str, int] = field(default_factory=dict)
    """Functions that it calls and pg_dump does not, by the line; none of them may exist."""
    database_major: int | None = None
    """The version of the server that it was made of."""

    @property
    def total(self) -> int:
        """All rows and large objects."""
        return sum(self.rows.values())

    @property
    def words(self) -> str:
        """How many rows in how many tables, for a person."""
        rows = dict(self.rows)
        objects = rows.pop(LARGE_OBJECTS, 0)
        count, tables = sum(rows.values()), len(rows)
        told = f"{count:,} row{'' if count == 1 else 's'} in {tables:,} table"
        told += "" if tables == 1 else "s"
        return told + (f" and {objects:,} large object{'s' * (objects != 1)}" if objects else "")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SETTINGS = _words(
    "statement_timeout lock_timeout idle_in_transaction_session_timeout transaction_timeout"
    " idle_session_timeout client_encoding standard_conforming_strings check_function_bodies"
    " xmloption client_min_messages row_security default_tablespace default_table_access_method"
    " default_with_oids search_path escape_string_warning datestyle intervalstyle timezone"
    " extra_float_digits synchronize_seqscans quote_all_identifiers bytea_output"
    " restrict_nonsystem_relation_kind default_toast_compression session_replication_role"
)
_UNSAFE_ENCODINGS = _words(
    "sjis shiftjis big5 gbk uhc gb18030 johab shiftjis2004 mskanji win932 win936 win949 win950"
    " windows932 windows936 windows949 windows950"
)
_TWO_WORDS = _words("materialized foreign event access text user large default")
_MODIFIERS = _words("or replace unlogged unique constraint trusted procedural recursive")
_LONGEST_WORD = 60
_MAKES = _words(
    "schema table sequence view index function procedure aggregate type domain extension operator"
    " collation conversion cast transform trigger rule policy statistics language publication"
    " subscription"
) | {"materialized view", "event trigger", "text search", "access method", "default conversion"}
_ALTERS = (_MAKES - {"extension"}) | {"large object", "default privileges", "routine"}
_DROPS = (_MAKES - {"subscription"}) | {"routine"}
_ALWAYS_EXTRA = frozenset({"publication", "policy", "language", "access method", "transform"})
_EXTRA_AFTER_OTHERS = frozenset(
    {"view", "function", "procedure", "aggregate", "operator", "rule", "trigger", "cast"}
    | {"materialized view", "statistics", "text search"}
)
_DATA_CALLS = _words(
    "set_config setval lo_create lo_open lowrite lo_close pg_restore_relation_stats"
    " pg_restore_attribute_stats pg_restore_extended_stats"
)
_LANGUAGES = _words("sql plpgsql plperl pltcl plv8 plcoffee plls pllua pljs plrust")
_REACHING = re.compile(
    r"pg_(read|ls|stat|write)_\w*(file|dir)\w*|pg_ls_\w+|pg_file_\w+|pg_logdir_ls|pg_sync_\w+"
    r"|lo_(import|export)|dblink\w*|pg_(terminate|cancel)_backend|pg_reload_conf"
    r"|pg_rotate_logfile\w*|pg_promote|pg_switch_\w+|pg_create_\w+|pg_drop_replication_slot"
    r"|pg_copy_\w+_replication_slot|pg_replication_\w+|pg_(backup_)?(start|stop)(_backup)?"
    r"|pg_logical_\w+|pg_wal_replay_\w+|pg_notify|pg_sleep\w*|pg_advisory_\w+"
    r"|(query|table|cursor|schema|database)_to_xml\w*|pg_stat_reset\w*|pg_import_\w+"
)
_UNSAFE_EXTENSION = re.compile(
    r"pl\w*u|plsh|pljava|adminpack|\w*_?fdw|dblink|pg_cron|pg_background|pg_net|http|pgsql_http"
    r"|aws_\w+|pg_curl|pg_task|pg_execute\w*|file_textarray_fdw|xml2|pg_tle|pglogical"
)
_LEAVES = "leads out of the database that is restored"
_NOT_DATA = "is no part of a dump of one database"


_WORD = re.compile(r"\w+")
_REACHING_CODE = re.compile(
    rb"\bprogram\b|\bcopy\b[^;]*?\b(?:from|to)\s*(?:''|')|pg_read_(?:binary_)?file|pg_ls_dir"
    rb"|\blo_(?:im|ex)port|\balter\s+system|dblink|\bexecute\b|\bset\s+(?:session|role)\b",
    re.IGNORECASE,
)
_SHARED = _words(
    "pg_authid pg_auth_members pg_database pg_db_role_setting pg_parameter_acl pg_tablespace"
    " pg_replication_origin pg_shdepend pg_shdescription pg_shseclabel pg_subscription"
)
"""PostgreSQL's own tables of the whole server."""
_CHANGES = _words("alter create drop")
_OF_THE_SERVER = _words(
    "role user group database tablespace system extension server foreign subscription event"
)
"""What a function that changes these reaches out to."""
_GIVES = _words("grant revoke reassign")

_EVALUATED = frozenset(
    {"table", "domain", "index", "materialized view", "cast", "aggregate", "operator", "type"}
    | {"statistics"}
)
"""What may call functions while it is restored."""


def _code(literal: str) -> list[Token]:
    """Return the tokens of a function's body; its bare words when it cannot be split."""
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
    """Whether code gives rights, changes the server's objects, or calls what reaches out."""
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
    """Whether a name that begins here is that of a table of the whole server."""
    names = [token.text for token in tokens[:4] if token.kind in ("word", "name")]
    names = [name for name in names if name not in ("only", "pg_catalog")]
    return bool(names) and names[0] in _SHARED


class Reader:
    """Judges a dump's statements one after another, and counts."""

    def __init__(self, contents: Contents | None = None) -> None:
        self.contents = contents or Contents()
        self._schema = "public"
        self._functions: set[str] = set()
        self._has_own_operators = False
        self._has_made = False
        self._defined: dict[str, frozenset[str]] = {}
        """Functions and views, by what else of these they mention."""
        self._views: set[tuple[str, str]] = set()
        """Rows that are added to one may go anywhere."""
        self._reaching: set[str] = set()
        """Those that reach out of the database when they run."""
        self._evaluated: list[tuple[int, frozenset[str]]] = []
        """What the restore itself may run, by the line of the statement."""
        self._runs_on_rows: str = ""
        """A trigger or rule that would run on each row which follows."""

    def take(self, statement: Statement) -> Meaning:
        """Return what a statement is about. Raises Unsafe when it is no data."""
        if statement.inserted:
            # Nothing but literals, by the lexer's own word; the name is all that is left.
            table, _ = self._relation(statement.first(6), 2)
            return self._added(statement, table, statement.inserted)
        tokens = statement.tokens
        if not tokens:
            return Meaning("skip")
        self._demand_no_commands(statement)
        if tokens[0].kind == "command":
            return Meaning("skip")
        if tokens[0].kind != "word" or tokens[0].text not in _STATEMENTS:
            raise self._unsafe(statement, tokens[0], _NOT_DATA)
        return _STATEMENTS[tokens[0].text](self, statement)

    def _refresh(self, statement: Statement) -> Meaning:
        table, _ = self._relation(statement.tokens, 3)
        return Meaning("extra", f"rows of materialized view {'.'.join(table)}")

    def _transaction(self, statement: Statement) -> Meaning:
        if len(statement.tokens) > 1:
            raise self._unsafe(statement, statement.tokens[0], _NOT_DATA)
        return Meaning("transaction")

    def rows(self, table: tuple[str, str], count: int) -> None:
        """Count rows of a COPY."""
        self.contents.rows[table] = self.contents.rows.get(table, 0) + count

    def running(self) -> Iterator[Unsafe]:
        """Yield what the restore would run of the dump's own code that reaches out of it."""
        reaching = set(self._reaching)
        while more := {name for name, used in self._defined.items() if used & reaching} - reaching:
            reaching |= more
        for line, used in self._evaluated:
            if found := sorted(used & reaching):
                yield Unsafe(line, found[0], f"would run, and {_LEAVES}")

    def _note(self, statement: Statement, kind: str, name: str) -> None:
        """Note which of the dump's functions and views a statement uses."""
        if kind in ("function", "procedure", "view"):
            text = statement.text.decode(errors="replace")
            self._defined[name] = frozenset(_WORD.findall(text) + _WORD.findall(text.lower()))
            if _REACHING_CODE.search(statement.text) or self._reaches(statement):
                self._reaching.add(name)
        elif kind in _EVALUATED and self._defined:
            used = frozenset(token.text for token in statement.tokens) & self._defined.keys()
            if used:
                self._evaluated.append((statement.line, frozenset(used)))

    def _reaches(self, statement: Statement) -> bool:
        """Whether a function or view changes something of the server when it runs."""
        tokens = statement.tokens
        return _has_reaching(tokens) or any(
            _has_reaching(_code(token.text)) for token in tokens if token.kind == "string"
        )

    def _unsafe(self, statement: Statement, token: Token, why: str, upto: int = 1) -> Unsafe:
        place = statement.tokens.index(token)
        written = [each.text for each in statement.tokens[place : place + upto]]
        word = " ".join(text.upper() if upto > 1 else text for text in written)
        return Unsafe(statement.line_at(token.offset), outside.head(word, _LONGEST_WORD), why)

    def _demand_no_commands(self, statement: Statement) -> None:
        tokens = statement.tokens
        for token in tokens:
            if token.kind == "command":
                allowed = token is tokens[0] and token.text in (
                    "\\restrict",
                    "\\unrestrict",
                    "\\.",
                )
                if not allowed and token.text == "\\restrict":
                    printed = statement.text.decode(errors="replace").splitlines()[0].strip()
                    why = "is no SQL, but what a program printed into the dump"
                    raise Unsafe(statement.line, outside.head(printed, _LONGEST_WORD), why)
                if not allowed:
                    raise self._unsafe(statement, token, f"is a command to psql and {_NOT_DATA}")
                return
        if b":" not in statement.text:
            return
        depth = 0
        for before, token, after in zip([None, *tokens], tokens, [*tokens[1:], None], strict=False):
            depth += {"[": 1, "]": -1}.get(token.text, 0) if token.kind == "sign" else 0
            if token.kind != "sign" or token.text != ":" or depth or after is None:
                continue
            is_cast = before and before.text == ":" and before.offset == token.offset - 1
            touches = after.offset == token.offset + 1 and after.kind in ("word", "name", "string")
            if touches and not is_cast:
                word = f":{after.text}"
                line = statement.line_at(token.offset)
                raise Unsafe(line, word, f"is a variable of psql and {_NOT_DATA}")

    def _demand_no_reaching(self, statement: Statement) -> None:
        for name, after in pairwise(statement.tokens):
            called = after.text == "(" and name.kind in ("word", "name")
            if called and _REACHING.fullmatch(name.text.lower()):
                raise self._unsafe(statement, name, _LEAVES)

    def _relation(self, tokens: list[Token], at: int) -> tuple[tuple[str, str], int]:
        """Return (schema, name) of the relation named at `at`, and what comes behind it."""
        while at < len(tokens) and tokens[at].text in ("only", "if", "not", "exists"):
            at += 1
        parts = []
        while at < len(tokens) and tokens[at].kind in ("word", "name"):
            parts.append(tokens[at].text)
            at += 1
            if at >= len(tokens) or tokens[at].text != ".":
                break
            at += 1
        if not parts:
            return (self._schema, ""), at
        return (parts[-2] if len(parts) > 1 else self._schema, parts[-1]), at

    def _added(self, statement: Statement, table: tuple[str, str], count: int) -> Meaning:
        schema, name = table
        if schema in ("pg_catalog", "information_schema") or name in _SHARED:
            raise self._unsafe(statement, statement.tokens[0], f"into {name} {_LEAVES}")
        if table in self._views:
            raise self._unsafe(statement, statement.tokens[0], f"into a view {_NOT_DATA}")
        if self._runs_on_rows:
            why = f"adds rows after {self._runs_on_rows}, which would run on each"
            raise self._unsafe(statement, statement.tokens[0], why)
        self.rows(table, count)
        return Meaning("row", f"table {table[0]}.{table[1]}", table=table)

    def _set(self, statement: Statement) -> Meaning:
        tokens = statement.tokens
        at = 2 if len(tokens) > 1 and tokens[1].text in ("session", "local") else 1
        if len(tokens) < 3 or at >= len(tokens):
            return Meaning("needed", "SET")
        name = tokens[at].text.lower()
        if name == "authorization" and tokens[-1].text == "default":
            return Meaning("skip")  # as pg_dump --disable-triggers writes; it is so already
        if name in ("authorization", "role", "characteristics"):
            raise self._unsafe(statement, tokens[0], _LEAVES, upto=at + 1)
        value = tokens[-1].text.strip("'")
        if name == "default_transaction_read_only" and value == "off":
            return Meaning("skip")  # as pg_dumpall writes; it is so already
        self._demand_setting(statement, tokens[at], name, value)
        if name == "search_path":
            self._schema = tokens[at + 2].text.strip("'") or "public"
        if name == "default_tablespace":
            if value.strip('"'):
                self.contents.tablespaces.add(value.strip('"'))
            return Meaning("set", name, owner=value.strip('"'))
        return Meaning("set", name)

    def _demand_setting(self, statement: Statement, token: Token, name: str, value: str) -> None:
        if name not in _SETTINGS:
            why = "is a setting that pg_dump does not write"
            raise Unsafe(statement.line_at(token.offset), f"SET {name}", why)
        encoding = re.sub(r"[^a-z0-9]", "", value.lower())
        if name == "client_encoding" and encoding in _UNSAFE_ENCODINGS:
            why = "cannot be read safely: dump it with pg_dump --encoding=UTF8"
            raise Unsafe(statement.line_at(token.offset), f"client_encoding {value}", why)

    def _select(self, statement: Statement) -> Meaning:
        tokens = statement.tokens
        calls = [
            (at, name)
            for at, (name, after) in enumerate(pairwise(tokens))
            if after.text == "(" and name.kind in ("word", "name")
        ]
        self._demand_no_reaching(statement)
        words = {token.text for token in tokens if token.kind == "word"}
        names = {name.text for _, name in calls}
        if "lo_unlink" in names:  # pg_dump --clean
            return Meaning("skip")
        for at, name in calls:
            qualified = at > 1 and tokens[at - 2].text == "pg_catalog"
            if name.text in self._functions and not qualified:
                raise self._unsafe(statement, name, "is a function of the dump itself")
            if name.text not in _DATA_CALLS:
                self.contents.calls.setdefault(name.text.lower(), statement.line_at(name.offset))
        if names and names <= _DATA_CALLS and not words & {"into", "where", "union", "with"}:
            return self._call(statement, names, calls)
        if words & {"from", "into", "union", "with", "execute", "table"}:
            raise self._unsafe(statement, tokens[0], _NOT_DATA)
        signs = {token.text for token in tokens if token.kind == "sign"} - set("(),.:;")
        if signs and self._has_own_operators:
            raise self._unsafe(statement, tokens[0], _NOT_DATA)
        return Meaning("needed", "SELECT")

    def _call(
        self, statement: Statement, names: set[str], calls: list[tuple[int, Token]]
    ) -> Meaning:
        tokens = statement.tokens
        if "set_config" in names:
            values = [token for token in tokens if token.kind == "string"]
            name = values[0].text.strip("'").lower() if values else ""
            self._demand_setting(statement, calls[0][1], name, "")
            if name == "search_path" and len(values) > 1:
                self._schema = values[1].text.strip("'").split(",")[0].strip() or "public"
            return Meaning("set", name)
        if "lo_create" in names:
            self.rows(LARGE_OBJECTS, 1)
        role: Role = "extra" if any("_stats" in name for name in names) else "needed"
        return Meaning(role, "statistics" if role == "extra" else min(names))

    def _insert(self, statement: Statement) -> Meaning:
        tokens = statement.tokens
        table, at = self._relation(tokens, 2)
        texts = [token.text if token.kind != "string" else "''" for token in tokens]
        if texts[at : at + 2] == ["default", "values"]:
            return self._added(statement, table, 1)
        if "values" not in texts[at:]:
            raise self._unsafe(statement, tokens[0], "adds rows that cannot be counted")
        depth = count = 0
        start = at + texts[at:].index("values") + 1
        for place in range(start, len(tokens)):
            token, text = tokens[place], texts[place]
            if text == "(" and token.kind == "sign":
                count += depth == 0
                depth += 1
            elif text == ")" and token.kind == "sign":
                depth -= 1
            elif depth == 0 and text == "on":
                if texts[place:] != ["on", "conflict", "do", "nothing"]:
                    raise self._unsafe(statement, token, _NOT_DATA, upto=4)
                break
            elif not (
                token.kind in ("string", "number")
                or text in ("null", "true", "false", "default", ",", "-", "+")
            ):
                raise self._unsafe(statement, token, "is no literal, so it is no data")
        return self._added(statement, table, count)

    def _copy(self, statement: Statement) -> Meaning:
        tokens = statement.tokens
        for token in tokens:
            if token.kind == "word" and token.text in ("program", "to"):
                upto = 2 if token.text == "program" else 1
                raise self._unsafe(statement, token, f"in a COPY {_LEAVES}", upto=upto)
        source = next((i for i, each in enumerate(tokens) if each.text == "from"), 0)
        if not source or not statement.starts_copy:
            token = tokens[min(source, len(tokens) - 1)]
            raise self._unsafe(statement, token, f"in a COPY of a file {_LEAVES}", upto=2)
        if len(tokens) > source + 2:
            raise self._unsafe(statement, tokens[source + 2], "is no part of a dump's COPY")
        table, _ = self._relation(tokens, 1)
        return self._added(statement, table, 0)

    def _object(self, tokens: list[Token]) -> tuple[str, int]:
        """Return the kind of object that CREATE, ALTER or DROP is about, and where it is named."""
        at = 1
        while at < len(tokens) and tokens[at].text in _MODIFIERS:
            at += 1
        kind = tokens[at].text if at < len(tokens) else ""
        second = tokens[at + 1].text if at + 1 < len(tokens) else ""
        if kind in _TWO_WORDS:
            kind, at = f"{kind} {second}", at + 1
            if kind == "foreign data":
                kind, at = "foreign data wrapper", at + 1
        elif kind == "operator" and second in ("class", "family"):
            at += 1
        if kind == "text search":
            at += 1
        return kind, at + 1

    def _named(self, kind: str, tokens: list[Token], at: int) -> str:
        (schema, name), _ = self._relation(tokens, at)
        plain = kind in ("schema", "extension", "language", "publication", "event trigger")
        return f"{kind} {name}" if plain or not name else f"{kind} {schema}.{name}"

    def _create(self, statement: Statement) -> Meaning:
        tokens = statement.tokens
        kind, at = self._object(tokens)
        if kind not in _MAKES:
            raise self._unsafe(statement, tokens[0], _LEAVES, upto=at)
        self._has_made = True
        self._note(statement, kind, self._relation(tokens, at)[0][1])
        subject = self._named(kind, tokens, at)
        texts = [token.text for token in tokens if token.kind != "string"]
        if kind not in ("view", "function", "procedure", "rule"):
            self._demand_no_reaching(statement)
        if kind == "view":
            self._views.add(self._relation(tokens, at)[0])
        special = _CREATES.get(kind)
        if special:
            return special(self, statement, kind, subject, at)
        if kind in ("operator", "cast", "aggregate"):
            self._has_own_operators = True
        elif kind in ("trigger", "rule"):
            self._runs_on_rows = self._runs_on_rows or subject
        elif kind == "publication" and ("all" in texts or "schema" in texts):
            self.contents.superusers_only.append(subject)
        role: Role = "extra" if kind in _ALWAYS_EXTRA else "needed"
        return Meaning("tail" if kind in _EXTRA_AFTER_OTHERS else role, subject)

    def _table(self, statement: Statement, _: str, subject: str, at: int) -> Meaning:
        depth = 0
        for token in statement.tokens:
            if token.kind == "sign":
                depth += {"(": 1, ")": -1}.get(token.text, 0)
            elif token.kind == "word" and depth == 0 and token.text in ("as", "select"):
                raise self._unsafe(statement, token, "adds rows that cannot be counted")
        self.contents.tables.add(self._relation(statement.tokens, at)[0])
        return Meaning("needed", subject)

    def _materialized_view(self, statement: Statement, _: str, subject: str, __: int) -> Meaning:
        if [token.text for token in statement.tokens[-3:]] != ["with", "no", "data"]:
            raise self._unsafe(statement, statement.tokens[0], _NOT_DATA, upto=3)
        return Meaning("tail", subject)

    def _subscription(self, statement: Statement, _: str, subject: str, __: int) -> Meaning:
        texts = [token.text for token in statement.tokens]
        if "connect = false" not in " ".join(texts):
            raise self._unsafe(statement, statement.tokens[0], "would start to replicate", upto=2)
        self.contents.last.append(subject)
        return Meaning("skip", subject)

    def _event_trigger(self, statement: Statement, _: str, subject: str, __: int) -> Meaning:
        if any(token.text == "login" for token in statement.tokens):
            raise self._unsafe(statement, statement.tokens[0], "would run at each login", upto=3)
        self.contents.last.append(subject)
        return Meaning("last", subject)

    def _extension(self, statement: Statement, _: str, subject: str, at: int) -> Meaning:
        name = self._relation(statement.tokens, at)[0][1]
        if _UNSAFE_EXTENSION.fullmatch(name.lower()):
            raise self._unsafe(statement, statement.tokens[0], f"{name} {_LEAVES}", upto=2)
        self.contents.extensions.add(name)
        self._has_own_operators = True
        return Meaning("extension", subject)

    def _function(self, statement: Statement, kind: str, subject: str, at: int) -> Meaning:
        tokens = statement.tokens
        if kind == "language":
            names = [(tokens[at], self._relation(tokens, at)[0][1])]
        else:
            self._functions.add(self._relation(tokens, at)[0][1])
            names = [
                (name, name.text.strip("'"))
                for word, name in pairwise(tokens)
                if word.kind == "word" and word.text == "language"
            ]
        for token, name in names:
            if name.lower() not in _LANGUAGES:
                word = f"LANGUAGE {name}"
                raise Unsafe(statement.line_at(token.offset), word, "can do anything on the server")
        return Meaning("tail" if kind != "language" else "extra", subject)

    def _new_schema(self, statement: Statement, _: str, subject: str, at: int) -> Meaning:
        tokens = statement.tokens
        (_, name), after = self._relation(tokens, at)
        owner = ""
        if name == "authorization" or (
            after < len(tokens) and tokens[after].text == "authorization"
        ):
            owner = tokens[-1].text
            after = len(tokens)
        if after < len(tokens):
            raise self._unsafe(statement, tokens[after], _NOT_DATA)
        if owner:
            self.contents.owners.setdefault(owner, []).append(subject)
        return Meaning("needed", subject, owner=owner)

    def _alter(self, statement: Statement) -> Meaning:  # noqa: PLR0911 - one for each kind
        tokens = statement.tokens
        drops = any(token.kind == "word" and token.text == "drop" for token in tokens)
        kind, at = self._object(tokens)
        if kind not in _ALTERS:
            raise self._unsafe(statement, tokens[0], _LEAVES, upto=at)
        self._demand_no_reaching(statement)
        self._note(statement, kind, "")
        if drops and not self._has_made:
            return Meaning("skip")  # pg_dump --clean: there is nothing to drop
        subject = self._named(kind, tokens, at)
        texts = [token.text if token.kind == "word" else "" for token in tokens]
        self._demand_same_name(statement, texts)
        if texts[-3:-1] == ["owner", "to"]:
            owner = tokens[-1].text
            if kind == "subscription":
                return Meaning("skip", subject)
            self.contents.owners.setdefault(owner, []).append(subject)
            return Meaning("last" if kind == "event trigger" else "owner", subject, owner=owner)
        if kind == "table" and "force" in texts and "no" not in texts:
            return Meaning("last", f"forced row level security of {subject}")
        match kind:
            case "subscription":
                raise self._unsafe(statement, tokens[0], _LEAVES, upto=2)
            case "event trigger":
                return Meaning("last", subject)
            case "default privileges":
                place = texts.index("role") + 1 if "role" in texts else 0
                owner = tokens[place].text if place else ""
                subject = f"default privileges of {owner}" if owner else "default privileges"
                if owner:
                    self.contents.owners.setdefault(owner, []).append(subject)
                return Meaning("extra", subject, owner=owner)
        if kind == "publication":
            if "schema" in texts:
                self.contents.superusers_only.append(subject)
            return Meaning("extra", subject)
        return Meaning("tail" if kind in _EXTRA_AFTER_OTHERS else "needed", f"{kind} {subject}")

    def _demand_same_name(self, statement: Statement, texts: list[str]) -> None:
        """Raise Unsafe for a new name, under which nobody would know what was judged."""
        for pair, token in zip(pairwise(texts), statement.tokens, strict=False):
            if pair in (("rename", "to"), ("set", "schema")):
                raise self._unsafe(statement, token, _NOT_DATA, upto=2)

    def _drop(self, statement: Statement) -> Meaning:
        tokens = statement.tokens
        kind, at = self._object(tokens)
        if tokens[0].text == "drop" and kind not in _DROPS:
            raise self._unsafe(statement, tokens[0], _LEAVES, upto=at)
        # The database is new: there is nothing to drop, and nothing that is emptied.
        return Meaning("skip")

    def _about(self, statement: Statement) -> Meaning:
        """Return what a comment, a grant or a label is about: never the server's own objects."""
        tokens = statement.tokens
        on = next(
            (i for i, each in enumerate(tokens) if each.kind == "word" and each.text == "on"), 0
        )
        if not on or on + 1 >= len(tokens):
            why = "gives a login what another has, on the whole server"
            raise self._unsafe(statement, tokens[0], why, upto=2)
        kind = tokens[on + 1].text if tokens[on + 1].kind == "word" else ""
        if kind in ("database", "role", "tablespace", "parameter", "foreign", "server"):
            raise self._unsafe(statement, tokens[0], f"on {kind} {_LEAVES}")
        at = on + 2
        if kind in _TWO_WORDS or (kind == "operator" and tokens[at].text in ("class", "family")):
            kind, at = f"{kind} {tokens[at].text}", at + 1
        if kind == "subscription":
            return Meaning("skip")
        subject = self._named(kind, tokens, at)
        if subject == "extension plpgsql":  # it is there, with this comment
            return Meaning("skip")
        role: Role = "last" if kind == "event trigger" else "extra"
        return Meaning(role, f"{_ABOUT[tokens[0].text]} {subject}")


_CREATES: dict[str, Callable[[Reader, Statement, str, str, int], Meaning]] = {
    "extension": Reader._extension,
    "function": Reader._function,
    "procedure": Reader._function,
    "language": Reader._function,
    "schema": Reader._new_schema,
    "table": Reader._table,
    "materialized view": Reader._materialized_view,
    "subscription": Reader._subscription,
    "event trigger": Reader._event_trigger,
}
_ABOUT = {
    "comment": "comment on",
    "grant": "privileges on",
    "revoke": "privileges on",
    "security": "security label on",
}
_STATEMENTS: dict[str, Callable[[Reader, Statement], Meaning]] = {
    "set": Reader._set,
    "select": Reader._select,
    "insert": Reader._insert,
    "copy": Reader._copy,
    "create": Reader._create,
    "alter": Reader._alter,
    "drop": Reader._drop,
    "truncate": Reader._drop,
    "refresh": Reader._refresh,
    "begin": Reader._transaction,
    "commit": Reader._transaction,
    **dict.fromkeys(_ABOUT, Reader._about),
}


Step = tuple[Statement, Meaning] | CopyRows | CopyEnd
_MOST_TOLD = 3


def inspect(chunks: Iterable[bytes]) -> tuple[Contents, list[Unsafe]]:
    """Read a dump to its end; return what it holds, and the first things in it that are no data.

    Raises NotSql when it cannot be read.
    """
    contents, refused = Contents(), []
    reader, table = Reader(contents), ("", "")
    try:
        for item in Script(_noted(chunks, contents)):
            if isinstance(item, CopyRows):
                reader.rows(table, item.count)
            elif isinstance(item, Statement):
                try:
                    table = reader.take(item).table or table
                except Unsafe as error:
                    refused.append(error)
            if len(refused) == _MOST_TOLD:
                return contents, refused
        refused += list(reader.running())[: _MOST_TOLD - len(refused)]
    except NotSql:
        if not refused:
            raise
    return contents, refused


def steps(chunks: Iterable[bytes]) -> Iterator[Step]:
    """Yield what there is to be done, in its order.

    Raises Unsafe and NotSql before what is refused is yielded.
    """
    reader = Reader()
    for item in Script(chunks):
        yield (item, reader.take(item)) if isinstance(item, Statement) else item


_MADE_OF = re.compile(rb"^-- Dumped from database version (\d+)", re.MULTILINE)


def _noted(chunks: Iterable[bytes], contents: Contents) -> Iterator[bytes]:
    """Pass the text on, and note which version its head names."""
    head = b""
    for chunk in chunks:
        if len(head) < 8192:
            head = (head + chunk)[:8192]
            if found := _MADE_OF.search(head):
                contents.database_major = int(found[1])
        yield chunk


__all__ = ["LARGE_OBJECTS", "Contents", "Meaning", "NotSql", "Rows", "Unsafe", "inspect", "steps"]
