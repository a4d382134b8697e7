"""Where runbooks come from besides opsnb itself: `[runbooks]` of `opsnb.toml`, installed packages.

Every listing reads this, so it imports nothing that takes long: the table is read from the file
alone, without the schema of the rest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from opsnb.config.places import at_home, find_config
from opsnb.errors import ConfigError

GROUP = "opsnb.runbooks"
"""The entry points by which an installed package says where its runbooks are."""

_TABLE = "runbooks"


@dataclass(frozen=True)
class Sources:
    """What is added to opsnb's own runbooks, and what is left out of them."""

    packages: tuple[Path, ...] = ()
    """The folders of installed packages."""
    paths: tuple[Path, ...] = ()
    """The folders that `opsnb.toml` names; a later one goes before an earlier one."""
    off: tuple[str, ...] = ()
    """Sections that are switched off, save what `paths` has of them."""
    config: Path | None = None
    """The `opsnb.toml` that says so."""

    @property
    def modules(self) -> list[str]:
        """The folders from which these runbooks may import: their own, and that of `config`."""
        if not self.paths or self.config is None:
            return []
        return list(dict.fromkeys(map(str, (self.config.parent, *self.paths))))


def sources(*, with_packages: bool = True) -> Sources:
    """Return where runbooks come from. Raises ConfigError when that cannot be known."""
    config = find_config()
    table = _table(config) if config else {}
    base = config.parent if config else Path()
    paths = tuple(_folder(base / at_home(path), config) for path in _texts(table, "paths", config))
    return Sources(
        _packages() if with_packages else (), paths, _texts(table, "off", config), config
    )


def make_importable(modules: Iterable[str]) -> None:
    """Let this process import from the folders `modules`.

    They come last, so that nothing in them takes the place of another module.
    """
    sys.path.extend(folder for folder in modules if folder not in sys.path)


def make_own_importable() -> None:
    """Let a kernel that opsnb has not started import what stands beside one's own runbooks."""
    with suppress(ConfigError):  # the session, which needs the configuration, says what is wrong
        make_importable(sources(with_packages=False).modules)


def own_faults() -> list[Any]:
    """Return the modules of `[runbooks] faults`: each has `FAULTS` for the demo.

    Raises ConfigError when one of them cannot be used.
    """
    config = find_config()
    return [_imported(name, config) for name in fault_modules()]


def fault_modules() -> tuple[str, ...]:
    """Return the names of the modules of `[runbooks] faults`, which can be imported from now on."""
    config = find_config()
    names = _texts(_table(config), "faults", config) if config else ()
    if names:
        make_own_importable()
    return names


def _imported(name: str, config: Path | None) -> Any:
    try:
        module = import_module(name)
    except Exception as error:  # it is somebody's own
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{config}: runbooks.faults names {name}, which fails: {why}.") from error
    if not hasattr(module, "FAULTS"):
        raise ConfigError(f"{config}: runbooks.faults names {name}, which has no FAULTS.")
    return module


def _table(config: Path) -> dict[str, Any]:
    """Return `[runbooks]`; empty when the file is broken: whoever reads all of it says how."""
    try:
        text = config.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return {}
    if _TABLE not in text:
        return {}
    # Imported only now: most files have no such table.
    import tomllib  # noqa: PLC0415

    try:
        table = tomllib.loads(text).get(_TABLE, {})
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
    if not isinstance(table, dict):
        raise ConfigError(f"{config}: runbooks must be a table; write it as [runbooks].")
    return table


def _texts(table: dict[str, Any], key: str, config: Path | None) -> tuple[str, ...]:
    given = table.get(key, [])
    if not (isinstance(given, list) and all(isinstance(each, str) for each in given)):
        raise ConfigError(f'{config}: runbooks.{key} must be a list of texts, like ["..."].')
    return tuple(given)


def _folder(path: Path, config: Path | None) -> Path:
    folder = path.resolve()
    if not folder.is_dir():
        raise ConfigError(
            f"{config}: runbooks.paths names {folder}, which is not a folder; correct the path."
        )
    return folder


@cache
def _packages() -> tuple[Path, ...]:
    """Return the folders of installed packages, by the names of their entry points."""
    if not any(GROUP in text for text in _declared()):
        return ()
    # Imported only now, and read only when one of the files names the group.
    from importlib.metadata import entry_points  # noqa: PLC0415

    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return tuple(_of_package(point.name, point.value) for point in points)


def _declared() -> Iterator[str]:
    """Yield the entry points of each installed package as they are written."""
    for folder in dict.fromkeys(sys.path):
        with suppress(OSError), os.scandir(folder or ".") as entries:  # it may be a zip file
            for entry in entries:
                if entry.name.endswith("-info"):
                    points = f"{entry.path}/entry_points.txt"
                    # A package without the file declares none.
                    with suppress(OSError), open(points, errors="replace") as file:  # noqa: PTH123
                        yield file.read()


def _of_package(name: str, value: str) -> Path:
    """Return the folder of the package `value`, such as `acme_ops.notebooks`; nothing is run."""
    from importlib.util import find_spec  # noqa: PLC0415

    top, *rest = value.split(".")
    spec = find_spec(top)
    for place in (spec and spec.submodule_search_locations) or ():
        folder = Path(place, *rest)
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"The installed package '{name}' says that its runbooks are in {value}, which is no "
        "folder of it. Install it again, or remove it."
    )
