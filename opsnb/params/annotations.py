"""What the annotation of a parameter says: its name, what it takes, the kinds of its values."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from opsnb.params.spans import Span


def _field(annotation: Any) -> FieldInfo | None:
    if get_origin(annotation) is not Annotated:
        return None
    return next((item for item in get_args(annotation) if isinstance(item, FieldInfo)), None)


def span_of(annotation: Any) -> Span | None:
    """Return the unit and bounds of a time span; None for other types."""
    items = get_args(_optional(annotation) or annotation)
    return next((item for item in items if isinstance(item, Span)), None)


def _optional(annotation: Any) -> Any:
    """Return the kind of value that may also be missing, as `X` of `X | None`; else None."""
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    is_union = get_origin(annotation) in (Union, UnionType)
    return kinds[0] if is_union and len(kinds) == 1 else None


def type_name(annotation: Any, written: str) -> str:
    """Return the name of a type, such as `hours`; as it is `written` if it has none."""
    field = _field(annotation)
    if field and field.title:
        return field.title
    if kind := _optional(annotation):
        return f"{type_name(kind, written.removesuffix(' | None'))} or none"
    return written


def expects(annotation: Any, written: str) -> str:
    """Return in words which values a type takes."""
    field = _field(annotation)
    if field and field.description:
        return field.description
    if kind := _optional(annotation):
        return f"{expects(kind, written.removesuffix(' | None'))}, or none"
    return written


def kinds(annotation: Any) -> Iterator[Any]:
    """Yield the plain types that values of `annotation` may have; of a literal, its words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from kinds(arguments[0])
    elif origin in (Union, UnionType):
        for argument in arguments:
            yield from kinds(argument)
    elif origin is Literal:
        yield from arguments
    else:
        yield origin or annotation
