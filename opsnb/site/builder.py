"""Build the site: docs, runbooks and records as static pages that need no server.

It is built in a folder beside the output, and only a complete site replaces the previous one, so a
build that fails changes nothing.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import typer
from mkdocs.commands.build import build as build_pages
from mkdocs.config import load_config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import MkDocsException
from mkdocs.plugins import BasePlugin

from opsnb import catalog
from opsnb.config.file import Config
from opsnb.errors import OpsnbError, RunBroke, UsageError
from opsnb.model import RunResult
from opsnb.records.recovery import reap
from opsnb.records.store import Store
from opsnb.redaction import Redactor, environment_secrets
from opsnb.site.docs import drills, reference, runbooks
from opsnb.site.entries import Entry
from opsnb.site.pages import records as lists
from opsnb.site.pages import status as home
from opsnb.site.record import page as records
from opsnb.site.record import trails
from opsnb.site.templates import notice
from opsnb.timetable.standing import Standing, standings
from opsnb.timetable.times import local_now

Say = Callable[[str], None]

_MARK = ".opsnb-site"
"""A file that marks a folder as a site of opsnb, which may be replaced."""
_SHELL = "records/_shell"


def build(config: Config, out: Path, say: Say, *, app: typer.Typer) -> Path:
    """Build the site into the folder `out` and return it.

    `app` is the command line, for its reference page. Raises RunBroke when the site cannot be
    built, UsageError when `out` contains something else; `out` is unchanged then.
    """
    out = out.resolve()
    _refuse_foreign(out)
    try:
        with _workplace(out) as work:
            _make(config, work, out, say, app)
            _swap(work / "site", out)
    except (MkDocsException, OSError) as error:
        raise RunBroke(f"The site could not be built: {error}. {out} is unchanged.") from error
    return out


def _make(config: Config, work: Path, former: Path, say: Say, app: typer.Typer) -> None:
    """Build the whole site in `work`, reusing pages of the `former` one."""
    infos = catalog.runbooks()
    store = Store(config.store)
    reap(store)  # so that killed runs are shown too
    say("Reading the records")
    entries = _bodies(store, former / "records", work / "bodies")
    for sentence in store.broken.values():
        say(f"opsnb: {sentence}")
    say(f"Building pages for {len(infos)} runbooks and {len(entries)} records")
    pages = _pages(config, infos, entries, store, app)
    _stage(work / "docs", infos, pages)
    with _warnings_to(say):
        _run_mkdocs(work, infos, entries)
    _finish(work, entries, infos)


# --- records ---------------------------------------------------------------------------------


def _bodies(store: Store, former: Path, bodies: Path) -> list[Entry]:
    """Write the body of each record's page, and return the records' entries."""
    bodies.mkdir()
    entries = []
    for result in store.results():
        entry = Entry.of(result)
        body = records.body(result, _notebook(store, result), former / entry.page)
        (bodies / entry.page).write_text(body, encoding="utf-8")
        entries.append(entry)
    return entries


def _notebook(store: Store, result: RunResult) -> dict[str, Any] | str:
    try:
        return store.notebook(result.run_id)
    except OpsnbError as error:
        return str(error)


# --- pages -----------------------------------------------------------------------------------


def _pages(
    config: Config,
    infos: Sequence[catalog.RunbookInfo],
    entries: Sequence[Entry],
    store: Store,
    app: typer.Typer,
) -> dict[str, str]:
    """Return the generated Markdown, by the mark in docs/ that it replaces."""
    redact = Redactor(environment_secrets()).text
    return {
        "home": home.home(entries, config.names, _standings(config, store)),
        "runbooks": runbooks.overview(infos, entries),
        "drills": drills.table_of(entries, {info.id for info in infos}),
        "records": _unreadable(store.broken) + lists.overview(entries),
        "thresholds": redact(reference.thresholds(config)),
        "contacts": redact(reference.contacts(config)),
        "commands": reference.commands(app),
        "configuration": reference.configuration(),
    } | {f"month {month}": lists.listing(group) for month, group in lists.months(entries).items()}


def _standings(config: Config, store: Store) -> list[Standing]:
    """Return the state of the schedules; none when they are invalid: every command says so."""
    try:
        return standings(config, store, local_now())
    except OpsnbError:
        return []


def _unreadable(broken: dict[str, str]) -> str:
    return "".join(notice(run_id, reason, "warning") for run_id, reason in broken.items())


def _stage(docs: Path, infos: Sequence[catalog.RunbookInfo], pages: dict[str, str]) -> None:
    """Copy docs/ and the runbooks to where mkdocs reads them, and fill in the generated parts."""
    shutil.copytree(catalog.share("docs"), docs)
    for month in (name.removeprefix("month ") for name in pages if name.startswith("month ")):
        (docs / f"records/{month}.md").write_text(
            f"---\nsearch:\n  exclude: true\n---\n\n"
            f"# Records of {month}\n\n<!-- opsnb: month {month} -->\n",
            encoding="utf-8",
        )
    for path in docs.rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        for name, made in pages.items():
            text = text.replace(f"<!-- opsnb: {name} -->", made)
        path.write_text(text, encoding="utf-8")
    (docs / f"{_SHELL}.md").write_text(records.SHELL, encoding="utf-8")
    for info in infos:
        staged = docs / "runbooks" / f"{info.id}.ipynb"
        staged.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(info.path, staged)


def _run_mkdocs(work: Path, infos: Sequence[catalog.RunbookInfo], entries: Sequence[Entry]) -> None:
    config = load_config(
        str(catalog.share("mkdocs.yml")),
        docs_dir=str(work / "docs"),
        site_dir=str(work / "site"),
    )
    _complete(config, infos, entries)
    config.plugins.on_startup(command="build", dirty=False)
    build_pages(config)
    config.plugins.on_shutdown()


@contextmanager
def _warnings_to(say: Say) -> Iterator[None]:
    """Pass on the warnings of mkdocs."""

    class Reporter(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"{record.levelname.capitalize()}: {record.getMessage()}")

    logger, reporter = logging.getLogger("mkdocs"), Reporter(logging.WARNING)
    logger.addHandler(reporter)
    try:
        yield
    finally:
        logger.removeHandler(reporter)


def _complete(
    config: MkDocsConfig, infos: Sequence[catalog.RunbookInfo], entries: Sequence[Entry]
) -> None:
    """Add to mkdocs' configuration what mkdocs.yml cannot contain."""
    config.theme.dirs.insert(0, str(Path(__file__).with_name("theme")))
    nav = config.nav or []
    for item in nav:
        if "Runbooks" in item:
            item["Runbooks"].extend(runbooks.navigation(infos))
    config.plugins["mkdocs-jupyter"].config["cache_dir"] = str(_cache())
    # As with mkdocs' hooks, any object with methods named after events will do.
    config.plugins["opsnb"] = cast("BasePlugin[Any]", runbooks.RunbookPages(infos, entries))


def _cache() -> Path:
    """Return where converted runbooks are kept between builds."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "opsnb" / "site"


# --- finish ----------------------------------------------------------------------------------


def _finish(work: Path, entries: Sequence[Entry], infos: Sequence[catalog.RunbookInfo]) -> None:
    """Assemble the records' pages and add them to the search."""
    site = work / "site"
    shell_page = site / f"{_SHELL}.html"
    shell = shell_page.read_text(encoding="utf-8")
    shell_page.unlink()
    for entry, trail in trails.trails(entries, (info.id for info in infos)):
        body = (work / "bodies" / entry.page).read_text(encoding="utf-8")
        (site / "records" / entry.page).write_text(
            records.page(shell, entry, body, trail), encoding="utf-8"
        )
    _index(site / "search", lists.search_documents(entries))
    (site / _MARK).touch()


def _index(search: Path, documents: list[dict[str, str]]) -> None:
    """Add `documents` to the search index, in both forms: for servers and for files."""
    path = search / "search_index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    index["docs"] += documents
    text = json.dumps(index, separators=(",", ":"))
    path.write_text(text, encoding="utf-8")
    path.with_suffix(".js").write_text(f"var __index = {text}", encoding="utf-8")


# --- the output folder -----------------------------------------------------------------------


def _refuse_foreign(out: Path) -> None:
    ours = (out / _MARK).exists() or not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not ours:
        raise UsageError(
            f"{out} contains something other than a site of opsnb. Use another folder, or empty it."
        )


@contextmanager
def _workplace(out: Path) -> Iterator[Path]:
    """Yield an empty folder on the same file system as `out`, removed at the end."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        yield Path(folder)


def _swap(new: Path, out: Path) -> None:
    """Replace `out` with `new`."""
    former = new.with_name("former")
    if out.exists():
        out.rename(former)
    try:
        new.rename(out)
    except OSError:
        if former.exists():
            former.rename(out)
        raise
