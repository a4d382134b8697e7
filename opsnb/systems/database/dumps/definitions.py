"""Statements that create, alter or drop objects, and those about them: comments, grants, labels."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from opsnb.systems.database.dumps.contents import Meaning, Role, Unsafe, unsafe
from opsnb.systems.database.dumps.reaching import LEAVES, UNSAFE_EXTENSION, demand_no_reaching
from opsnb.systems.database.dumps.state import State
from opsnb.systems.database.dumps.statements import Statement
from opsnb.systems.database.dumps.tokens import Token
from opsnb.systems.database.dumps.vocabulary import (
    ALTERS,
    ALWAYS_EXTRA,
    DROPS,
    EXTRA_AFTER_OTHERS,
    LANGUAGES,
    MAKES,
    MODIFIERS,
    NOT_DATA,
    TWO_WORDS,
)


def _object(tokens: list[Token]) -> tuple[str, int]:
    """Return the kind of object that CREATE, ALTER or DROP names, and the place of the name."""
    at = 1
    while at < len(tokens) and tokens[at].text in MODIFIERS:
        at += 1
    kind = tokens[at].text if at < len(tokens) else ""
    second = tokens[at + 1].text if at + 1 < len(tokens) else ""
    if kind in TWO_WORDS:
        kind, at = f"{kind} {second}", at + 1
        if kind == "foreign data":
            kind, at = "foreign data wrapper", at + 1
    elif kind == "operator" and second in ("class", "family"):
        at += 1
    if kind == "text search":
        at += 1
    return kind, at + 1


def _named(state: State, kind: str, tokens: list[Token], at: int) -> str:
    (schema, name), _ = state.relation(tokens, at)
    plain = kind in ("schema", "extension", "language", "publication", "event trigger")
    return f"{kind} {name}" if plain or not name else f"{kind} {schema}.{name}"


def create(state: State, statement: Statement) -> Meaning:
    """Return what CREATE creates. Raises Unsafe for objects outside of the database."""
    tokens = statement.tokens
    kind, at = _object(tokens)
    if kind not in MAKES:
        raise unsafe(statement, tokens[0], LEAVES, upto=at)
    state.has_made = True
    state.code.note(statement, kind, state.relation(tokens, at)[0][1])
    subject = _named(state, kind, tokens, at)
    texts = [token.text for token in tokens if token.kind != "string"]
    if kind not in ("view", "function", "procedure", "rule"):
        demand_no_reaching(statement)
    if kind == "view":
        state.views.add(state.relation(tokens, at)[0])
    special = _CREATES.get(kind)
    if special:
        return special(state, statement, kind, subject, at)
    if kind in ("operator", "cast", "aggregate"):
        state.has_own_operators = True
    elif kind in ("trigger", "rule"):
        state.runs_on_rows = state.runs_on_rows or subject
    elif kind == "publication" and ("all" in texts or "schema" in texts):
        state.contents.superusers_only.append(subject)
    role: Role = "extra" if kind in ALWAYS_EXTRA else "needed"
    return Meaning("tail" if kind in EXTRA_AFTER_OTHERS else role, subject)


def _table(state: State, statement: Statement, _: str, subject: str, at: int) -> Meaning:
    depth = 0
    for token in statement.tokens:
        if token.kind == "sign":
            depth += {"(": 1, ")": -1}.get(token.text, 0)
        elif token.kind == "word" and depth == 0 and token.text in ("as", "select"):
            raise unsafe(statement, token, "adds rows that cannot be counted")
    state.contents.tables.add(state.relation(statement.tokens, at)[0])
    return Meaning("needed", subject)


def _materialized_view(_: State, statement: Statement, __: str, subject: str, ___: int) -> Meaning:
    if [token.text for token in statement.tokens[-3:]] != ["with", "no", "data"]:
        raise unsafe(statement, statement.tokens[0], NOT_DATA, upto=3)
    return Meaning("tail", subject)


def _subscription(state: State, statement: Statement, _: str, subject: str, __: int) -> Meaning:
    texts = [token.text for token in statement.tokens]
    if "connect = false" not in " ".join(texts):
        raise unsafe(statement, statement.tokens[0], "would start to replicate", upto=2)
    state.contents.last.append(subject)
    return Meaning("skip", subject)


def _event_trigger(state: State, statement: Statement, _: str, subject: str, __: int) -> Meaning:
    if any(token.text == "login" for token in statement.tokens):
        raise unsafe(statement, statement.tokens[0], "would run at each login", upto=3)
    state.contents.last.append(subject)
    return Meaning("last", subject)


def _extension(state: State, statement: Statement, _: str, subject: str, at: int) -> Meaning:
    name = state.relation(statement.tokens, at)[0][1]
    if UNSAFE_EXTENSION.fullmatch(name.lower()):
        raise unsafe(statement, statement.tokens[0], f"{name} {LEAVES}", upto=2)
    state.contents.extensions.add(name)
    state.has_own_operators = True
    return Meaning("extension", subject)


def _function(state: State, statement: Statement, kind: str, subject: str, at: int) -> Meaning:
    tokens = statement.tokens
    if kind == "language":
        names = [(tokens[at], state.relation(tokens, at)[0][1])]
    else:
        state.functions.add(state.relation(tokens, at)[0][1])
        names = [
            (name, name.text.strip("'"))
            for word, name in pairwise(tokens)
            if word.kind == "word" and word.text == "language"
        ]
    for token, name in names:
        if name.lower() not in LANGUAGES:
            word = f"LANGUAGE {name}"
            raise Unsafe(statement.line_at(token.offset), word, "can do anything on the server")
    return Meaning("tail" if kind != "language" else "extra", subject)


def _new_schema(state: State, statement: Statement, _: str, subject: str, at: int) -> Meaning:
    tokens = statement.tokens
    (_, name), after = state.relation(tokens, at)
    owner = ""
    if name == "authorization" or (after < len(tokens) and tokens[after].text == "authorization"):
        owner = tokens[-1].text
        after = len(tokens)
    if after < len(tokens):
        raise unsafe(statement, tokens[after], NOT_DATA)
    if owner:
        state.contents.owners.setdefault(owner, []).append(subject)
    return Meaning("needed", subject, owner=owner)


def alter(state: State, statement: Statement) -> Meaning:  # noqa: PLR0911 - one for each kind
    """Return what ALTER changes. Raises Unsafe for objects outside of the database."""
    tokens = statement.tokens
    drops = any(token.kind == "word" and token.text == "drop" for token in tokens)
    kind, at = _object(tokens)
    if kind not in ALTERS:
        raise unsafe(statement, tokens[0], LEAVES, upto=at)
    demand_no_reaching(statement)
    state.code.note(statement, kind, "")
    if drops and not state.has_made:
        return Meaning("skip")  # pg_dump --clean: there is nothing to drop
    subject = _named(state, kind, tokens, at)
    texts = [token.text if token.kind == "word" else "" for token in tokens]
    _demand_same_name(statement, texts)
    if texts[-3:-1] == ["owner", "to"]:
        owner = tokens[-1].text
        if kind == "subscription":
            return Meaning("skip", subject)
        state.contents.owners.setdefault(owner, []).append(subject)
        return Meaning("last" if kind == "event trigger" else "owner", subject, owner=owner)
    if kind == "table" and "force" in texts and "no" not in texts:
        return Meaning("last", f"forced row level security of {subject}")
    match kind:
        case "subscription":
            raise unsafe(statement, tokens[0], LEAVES, upto=2)
        case "event trigger":
            return Meaning("last", subject)
        case "default privileges":
            place = texts.index("role") + 1 if "role" in texts else 0
            owner = tokens[place].text if place else ""
            subject = f"default privileges of {owner}" if owner else "default privileges"
            if owner:
                state.contents.owners.setdefault(owner, []).append(subject)
            return Meaning("extra", subject, owner=owner)
    if kind == "publication":
        if "schema" in texts:
            state.contents.superusers_only.append(subject)
        return Meaning("extra", subject)
    return Meaning("tail" if kind in EXTRA_AFTER_OTHERS else "needed", f"{kind} {subject}")


def _demand_same_name(statement: Statement, texts: list[str]) -> None:
    """Raise Unsafe for a rename, because what was judged would have another name."""
    for pair, token in zip(pairwise(texts), statement.tokens, strict=False):
        if pair in (("rename", "to"), ("set", "schema")):
            raise unsafe(statement, token, NOT_DATA, upto=2)


def drop(_: State, statement: Statement) -> Meaning:
    """Skip DROP and TRUNCATE. Raises Unsafe for objects outside of the database."""
    tokens = statement.tokens
    kind, at = _object(tokens)
    if tokens[0].text == "drop" and kind not in DROPS:
        raise unsafe(statement, tokens[0], LEAVES, upto=at)
    # The database is new: there is nothing to drop, and nothing that is emptied.
    return Meaning("skip")


def about(state: State, statement: Statement) -> Meaning:
    """Return which object a comment, a grant or a label is about.

    Raises Unsafe for objects outside of the database.
    """
    tokens = statement.tokens
    on = next((i for i, each in enumerate(tokens) if each.kind == "word" and each.text == "on"), 0)
    if not on or on + 1 >= len(tokens):
        why = "gives a login what another has, on the whole server"
        raise unsafe(statement, tokens[0], why, upto=2)
    kind = tokens[on + 1].text if tokens[on + 1].kind == "word" else ""
    if kind in ("database", "role", "tablespace", "parameter", "foreign", "server"):
        raise unsafe(statement, tokens[0], f"on {kind} {LEAVES}")
    at = on + 2
    if kind in TWO_WORDS or (kind == "operator" and tokens[at].text in ("class", "family")):
        kind, at = f"{kind} {tokens[at].text}", at + 1
    if kind == "subscription":
        return Meaning("skip")
    subject = _named(state, kind, tokens, at)
    if subject == "extension plpgsql":  # every database has it, with this comment
        return Meaning("skip")
    role: Role = "last" if kind == "event trigger" else "extra"
    return Meaning(role, f"{ABOUT[tokens[0].text]} {subject}")


_CREATES: dict[str, Callable[[State, Statement, str, str, int], Meaning]] = {
    "extension": _extension,
    "function": _function,
    "procedure": _function,
    "language": _function,
    "schema": _new_schema,
    "table": _table,
    "materialized view": _materialized_view,
    "subscription": _subscription,
    "event trigger": _event_trigger,
}
ABOUT = {
    "comment": "comment on",
    "grant": "privileges on",
    "revoke": "privileges on",
    "security": "security label on",
}
