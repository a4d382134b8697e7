"""A plugin of mypy: where text from outside is read, only `opsnb.redaction.outside` cuts it.

Whoever cuts a text cuts the secrets in it, and half a secret is not found any more. What takes a
line to pieces (`line[match.end() :]`, `word[:1]`) is no cut; a text that is only judged, and never
shown, says so: `# type: ignore[cut]  # judged, never shown`.
"""

from collections.abc import Callable

from mypy.errorcodes import ErrorCode
from mypy.nodes import (
    CallExpr,
    Expression,
    IndexExpr,
    IntExpr,
    OpExpr,
    SliceExpr,
    UnaryExpr,
)
from mypy.plugin import MethodContext, Plugin
from mypy.types import Type

_CUT = ErrorCode("cut", "Text is cut where secrets may be in it", "opsnb")
_WHERE = ("opsnb.systems", "opsnb.handbook")
_ALSO = (
    "opsnb.view.charts",
    "opsnb.checks.ranking",
    "opsnb.checks.watching",
    "opsnb.checks.evidence",
    "opsnb.actions.guard",
)
_FEW = 10  # characters tell nothing of a secret


class Cuts(Plugin):
    """Watches the slices of strings."""

    def get_method_hook(self, fullname: str) -> Callable[[MethodContext], Type] | None:
        return _sliced if fullname == "builtins.str.__getitem__" else None


def _sliced(context: MethodContext) -> Type:
    at = context.context
    module = getattr(context.api, "tree", None)
    name = module.fullname if module else ""
    if (
        name.startswith((*_WHERE, *_ALSO))
        and isinstance(at, IndexExpr)
        and isinstance(at.index, SliceExpr)
        and not (_is_a_start(at.index) or _is_parsed(at.index))
    ):
        context.api.fail(
            "A text is cut: use opsnb.redaction.outside, which takes the secrets out of it first",
            at,
            code=_CUT,
        )
    return context.default_return_type


def _is_a_start(part: SliceExpr) -> bool:
    """Say whether a slice is what stands behind a place that was found."""
    return part.end_index is None and not isinstance(part.begin_index, UnaryExpr)


def _is_parsed(part: SliceExpr) -> bool:
    return _is_a_place(part.begin_index) and _is_a_place(part.end_index)


def _is_a_place(bound: Expression | None) -> bool:
    """Say whether a bound is where something was found, or so small that nothing is told."""
    match bound:
        case None | CallExpr():
            return True
        case IntExpr():
            return bound.value < _FEW
        case UnaryExpr():
            return _is_a_place(bound.expr)
        case OpExpr():
            return _is_a_place(bound.left) and _is_a_place(bound.right)
        case _:
            return False


def plugin(_: str) -> type[Plugin]:
    """Return the plugin, as mypy asks for it."""
    return Cuts
