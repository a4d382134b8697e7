"""Reference pages in Markdown, made from the code and the configuration they describe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from opsnb.config import systems
from opsnb.config.file import Config
from opsnb.config.places import CONFIG_NAME
from opsnb.config.schema import Contact, Keep, Records, Runbooks
from opsnb.config.settings import Limits, Maintenance
from opsnb.config.target import Target
from opsnb.config.unattended import Notify, Schedule
from opsnb.errors import ConfigError
from opsnb.model import Threshold
from opsnb.site.templates import notice
from opsnb.view.formats import number

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_MARKUP = re.compile(r"\[/?[a-z ]+\]")  # rich's, in the help of commands


# --- command line ----------------------------------------------------------------------------


def commands(app: typer.Typer) -> str:
    """Return a section for each command of `app`, in its order."""
    root = typer.main.get_command(app)
    context = typer.Context(root, info_name="opsnb")
    return "\n\n".join(_command(context))


def _command(context: typer.Context) -> Iterator[str]:
    command = context.command
    children = getattr(command, "commands", {})
    if context.parent is not None:
        yield f"{'#' * _depth(context)} {context.command_path}"
    if command.help:
        yield _plain(command.help)
    if not children:
        pieces = " ".join(command.collect_usage_pieces(context))
        yield f"```text\n{context.command_path} {pieces}\n```"
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    rows = [(f"`{name}`", _plain(words)) for name, words in filter(None, records)]
    yield _table(("Argument or option", "What it does"), rows)
    for name, child in children.items():
        if not child.hidden:
            yield from _command(typer.Context(child, parent=context, info_name=name))


def _depth(context: typer.Context) -> int:
    return min(len(context.command_path.split()), 4)


def _plain(text: str) -> str:
    return _MARKUP.sub("", text.replace("\f", "").strip())


# --- configuration ---------------------------------------------------------------------------


def configuration() -> str:
    """Return a section for each table of `opsnb.toml`: its keys, their types and defaults."""
    return "\n\n".join(map(_section, tables()))


def tables() -> Iterator[type[BaseModel]]:
    """Yield the tables of `opsnb.toml`; the docstring of each begins with its name there."""
    yield Target
    for settings in systems.tables().values():
        yield settings
        yield from settings.inner_tables()
    yield from (Maintenance, Limits, Schedule, Notify, Contact, Records, Keep, Runbooks)


def _section(table: type[BaseModel]) -> str:
    name, _, about = (table.__doc__ or table.__name__).partition(": ")
    about = about.strip()
    rows = [
        (f"`{key}`", _type(field), _default(field), field.description or "")
        for key, field in table.model_fields.items()
        if not field.exclude
    ]
    heading = f"## {name}\n\n{about[:1].upper()}{about[1:]}\n\n{_short_forms(table)}"
    return heading + _table(("Key", "Takes", "Default", "What it is"), rows)


def _short_forms(table: type[BaseModel]) -> str:
    """Return a sentence on the flat keys of a target that stand for keys of `table`."""
    name = next((name for name, kind in systems.tables().items() if kind is table), "")
    keys = {short: key for short, (system, key) in systems.shorthands().items() if system == name}
    if plain := systems.plain_keys().get(name):
        keys[f"{name} = ..."] = plain
    forms = ", ".join(f"`{short}` for `{key}`" for short, key in keys.items())
    return f"Short forms, keys of the target itself: {forms}.\n\n" if forms else ""


def _type(field: FieldInfo) -> str:
    return _type_words(field.annotation)


def _type_words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_words(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type_words(kind) for kind in arguments if kind is not NoneType)
    if origin in (tuple, list):
        return f"list of {_type_words(arguments[0])}"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "table"
    return _WORDS.get(annotation, str(getattr(annotation, "__name__", annotation)))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is PydanticUndefined or value is None or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(_quoted(item) for item in value)}]`"
    return f"`{_quoted(value)}`"


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


# --- thresholds ------------------------------------------------------------------------------


def thresholds(config: Config) -> str:
    """Return the handbook's limits, then those that the configuration puts in their place."""
    rows = [
        (
            f"{limit.label}<br>`{limit.metric}`",
            _limit(limit, limit.warn),
            _limit(limit, limit.crit),
            f"section {limit.source}" if limit.source[0].isdigit() else "none: customary",
            limit.action,
        )
        for limit in systems.thresholds().values()
    ]
    handbook = _table(("What is measured", "Warn", "Crit", "Handbook", "What to do"), rows)
    own = "\n\n".join(_own_limits(config, name) for name in config.names)
    return f"{handbook}\n\n## Of each target\n\n{own}"


def _own_limits(config: Config, name: str) -> str:
    title = f"### {name}\n\n"
    try:
        target = config.target(name)
    except ConfigError as error:
        return title + notice("This target cannot be used at present", str(error), "warning")
    limits = [target.threshold(metric) for metric in systems.thresholds()]
    rows = [
        (f"{limit.label}<br>`{limit.metric}`", _limit(limit, limit.warn), _limit(limit, limit.crit))
        for limit in limits
        if limit.source == CONFIG_NAME
    ]
    if not rows:
        return f"{title}The handbook's limits hold."
    return title + _table(("What is measured", "Warn", "Crit"), rows)


def _limit(threshold: Threshold, limit: float | None) -> str:
    if limit is None:
        return ""
    if threshold.lower_is_worse:
        beyond = "at most" if threshold.inclusive else "below"
    else:
        beyond = "from" if threshold.inclusive else "above"
    return f"{beyond} {number(limit, threshold.unit)}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    if len(lines) == 2:
        return ""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
