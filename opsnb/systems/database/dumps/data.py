"""Statements that set, call, or add rows."""

from __future__ import annotations

import re
from itertools import pairwise

from opsnb.systems.database.dumps.contents import LARGE_OBJECTS, Meaning, Role, Unsafe, unsafe
from opsnb.systems.database.dumps.reaching import LEAVES, demand_no_reaching
from opsnb.systems.database.dumps.state import State
from opsnb.systems.database.dumps.statements import Statement
from opsnb.systems.database.dumps.tokens import Token
from opsnb.systems.database.dumps.vocabulary import DATA_CALLS, NOT_DATA, SETTINGS, UNSAFE_ENCODINGS


def setting(state: State, statement: Statement) -> Meaning:
    """Return what SET does. Raises Unsafe for a setting that pg_dump does not write."""
    tokens = statement.tokens
    at = 2 if len(tokens) > 1 and tokens[1].text in ("session", "local") else 1
    if len(tokens) < 3 or at >= len(tokens):
        return Meaning("needed", "SET")
    name = tokens[at].text.lower()
    if name == "authorization" and tokens[-1].text == "default":
        return Meaning("skip")  # as pg_dump --disable-triggers writes; it is so already
    if name in ("authorization", "role", "characteristics"):
        raise unsafe(statement, tokens[0], LEAVES, upto=at + 1)
    value = tokens[-1].text.strip("'")
    if name == "default_transaction_read_only" and value == "off":
        return Meaning("skip")  # as pg_dumpall writes; it is so already
    _demand_setting(statement, tokens[at], name, value)
    if name == "search_path":
        state.schema = tokens[at + 2].text.strip("'") or "public"
    if name == "default_tablespace":
        if value.strip('"'):
            state.contents.tablespaces.add(value.strip('"'))
        return Meaning("set", name, owner=value.strip('"'))
    return Meaning("set", name)


def _demand_setting(statement: Statement, token: Token, name: str, value: str) -> None:
    if name not in SETTINGS:
        why = "is a setting that pg_dump does not write"
        raise Unsafe(statement.line_at(token.offset), f"SET {name}", why)
    encoding = re.sub(r"[^a-z0-9]", "", value.lower())
    if name == "client_encoding" and encoding in UNSAFE_ENCODINGS:
        why = "cannot be read safely: dump it with pg_dump --encoding=UTF8"
        raise Unsafe(statement.line_at(token.offset), f"client_encoding {value}", why)


def select(state: State, statement: Statement) -> Meaning:
    """Return what SELECT calls. Raises Unsafe unless pg_dump writes such a call."""
    tokens = statement.tokens
    calls = [
        (at, name)
        for at, (name, after) in enumerate(pairwise(tokens))
        if after.text == "(" and name.kind in ("word", "name")
    ]
    demand_no_reaching(statement)
    words = {token.text for token in tokens if token.kind == "word"}
    names = {name.text for _, name in calls}
    if "lo_unlink" in names:  # pg_dump --clean
        return Meaning("skip")
    for at, name in calls:
        qualified = at > 1 and tokens[at - 2].text == "pg_catalog"
        if name.text in state.functions and not qualified:
            raise unsafe(statement, name, "is a function of the dump itself")
        if name.text not in DATA_CALLS:
            state.contents.calls.setdefault(name.text.lower(), statement.line_at(name.offset))
    if names and names <= DATA_CALLS and not words & {"into", "where", "union", "with"}:
        return _call(state, statement, names, calls)
    if words & {"from", "into", "union", "with", "execute", "table"}:
        raise unsafe(statement, tokens[0], NOT_DATA)
    signs = {token.text for token in tokens if token.kind == "sign"} - set("(),.:;")
    if signs and state.has_own_operators:
        raise unsafe(statement, tokens[0], NOT_DATA)
    return Meaning("needed", "SELECT")


def _call(
    state: State, statement: Statement, names: set[str], calls: list[tuple[int, Token]]
) -> Meaning:
    tokens = statement.tokens
    if "set_config" in names:
        values = [token for token in tokens if token.kind == "string"]
        name = values[0].text.strip("'").lower() if values else ""
        _demand_setting(statement, calls[0][1], name, "")
        if name == "search_path" and len(values) > 1:
            state.schema = values[1].text.strip("'").split(",")[0].strip() or "public"
        return Meaning("set", name)
    if "lo_create" in names:
        state.count(LARGE_OBJECTS, 1)
    role: Role = "extra" if any("_stats" in name for name in names) else "needed"
    return Meaning(role, "statistics" if role == "extra" else min(names))


def insert(state: State, statement: Statement) -> Meaning:
    """Return where INSERT adds rows. Raises Unsafe unless all its values are literals."""
    tokens = statement.tokens
    table, at = state.relation(tokens, 2)
    texts = [token.text if token.kind != "string" else "''" for token in tokens]
    if texts[at : at + 2] == ["default", "values"]:
        return state.added(statement, table, 1)
    if "values" not in texts[at:]:
        raise unsafe(statement, tokens[0], "adds rows that cannot be counted")
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
                raise unsafe(statement, token, NOT_DATA, upto=4)
            break
        elif not (
            token.kind in ("string", "number")
            or text in ("null", "true", "false", "default", ",", "-", "+")
        ):
            raise unsafe(statement, token, "is no literal, so it is no data")
    return state.added(statement, table, count)


def copy(state: State, statement: Statement) -> Meaning:
    """Return where COPY adds rows. Raises Unsafe unless the rows are in the dump."""
    tokens = statement.tokens
    for token in tokens:
        if token.kind == "word" and token.text in ("program", "to"):
            upto = 2 if token.text == "program" else 1
            raise unsafe(statement, token, f"in a COPY {LEAVES}", upto=upto)
    source = next((i for i, each in enumerate(tokens) if each.text == "from"), 0)
    if not source or not statement.starts_copy:
        token = tokens[min(source, len(tokens) - 1)]
        raise unsafe(statement, token, f"in a COPY of a file {LEAVES}", upto=2)
    if len(tokens) > source + 2:
        raise unsafe(statement, tokens[source + 2], "is no part of a dump's COPY")
    table, _ = state.relation(tokens, 1)
    return state.added(statement, table, 0)


def refresh(state: State, statement: Statement) -> Meaning:
    """Return which materialized view REFRESH fills."""
    table, _ = state.relation(statement.tokens, 3)
    return Meaning("extra", f"rows of materialized view {'.'.join(table)}")


def transaction(_: State, statement: Statement) -> Meaning:
    """Return what BEGIN or COMMIT does. Raises Unsafe if it has options."""
    if len(statement.tokens) > 1:
        raise unsafe(statement, statement.tokens[0], NOT_DATA)
    return Meaning("transaction")
