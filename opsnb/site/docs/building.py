"""Build the docs and the runbooks with MkDocs, only when what they are made from has changed.

What changes with every run, such as a runbook's latest records, stands in regions between two
comments, which are filled in without MkDocs.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from opsnb import catalog
from opsnb.errors import RunBroke
from opsnb.redaction import Redactor, environment_secrets
from opsnb.site.context import Site
from opsnb.site.digests import code, contents, digest
from opsnb.site.docs import drills, reference
from opsnb.site.layout import TABS
from opsnb.site.output import File, Output
from opsnb.site.templates import FOLDER, render
from opsnb.site.usage import Usage

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.plugins import BasePlugin

PART = "docs"
_REGION = re.compile(r"<!-- opsnb:(\S+) -->.*?<!-- /opsnb -->", re.DOTALL)
_NOT_OURS = re.compile(r"404\.html|sitemap\.xml(\.gz)?|.+\.j2")
"""Files of MkDocs that the site has no use for, or makes itself, and its templates."""
_TOOLS = ("mkdocs", "mkdocs-material", "mkdocs-jupyter")

Regions = Mapping[str, str]
"""HTML by the name of the region that it goes into."""


def update(site: Site, output: Output, say: Callable[[str], None]) -> None:
    """Bring the docs and the runbooks up to date in `output`.

    Raises RunBroke when MkDocs cannot build them.
    """
    texts = _texts(site)
    made_from = _made_from(site, texts)
    if output.made_from(PART) == made_from:
        sources = {path: output.folder / path for path in output.known(PART)}
    else:
        say(f"Building the docs and {len(site.infos)} runbooks")
        output.complete(PART, None)
        sources = _built(site, texts, output.aside / PART, say)
    regions = _regions(site)
    output.update(
        PART,
        (
            File(
                path,
                digest([made_from, *regions.get(path, {}).values()]),
                partial(_content, source, regions.get(path, {})),
            )
            for path, source in sources.items()
        ),
    )
    output.complete(PART, made_from)


def _content(source: Path, regions: Regions) -> bytes:
    if not regions:
        return source.read_bytes()

    def filled(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- opsnb:{name} -->{regions.get(name, '')}<!-- /opsnb -->"

    return _REGION.sub(filled, source.read_text(encoding="utf-8")).encode()


# --- what it is made from --------------------------------------------------------------------


def _texts(site: Site) -> dict[str, str]:
    """Return generated Markdown, by the mark in docs/ that it replaces."""
    redact = Redactor(environment_secrets()).text
    return {
        "thresholds": redact(reference.thresholds(site.config)),
        "configuration": reference.configuration(),
    }


def _made_from(site: Site, texts: Mapping[str, str]) -> str:
    """Return a digest of all that the pages are made from, but for their regions."""
    tools = (f"{tool} {version(tool)}" for tool in _TOOLS)
    files = [catalog.share("docs"), catalog.share("mkdocs.yml")]
    return digest(
        [
            code(),
            *tools,
            *texts.values(),
            *drills.sources(),
            *(content for file in files for content in contents(file)),
            *(part for info in site.infos for part in (info.id, _notebook(info))),
        ]
    )


def _notebook(info: catalog.RunbookInfo) -> bytes:
    try:
        return info.path.read_bytes()
    except OSError as error:
        return str(error).encode()


def _regions(site: Site) -> dict[str, Regions]:
    """Return the regions by the path of their page."""
    regions: dict[str, Regions] = {
        f"runbooks/{info.id}.html": {
            "latest": render(
                "latest",
                usage=site.usage.get(info.id, Usage()),
                root="../" * (info.id.count("/") + 1),
            )
        }
        for info in site.infos
    }
    regions["drills.html"] = drills.results(site.usage)
    return regions


# --- MkDocs ----------------------------------------------------------------------------------


def _built(
    site: Site, texts: dict[str, str], work: Path, say: Callable[[str], None]
) -> dict[str, Path]:
    """Build into the folder `work`; return the files by their path in the site."""
    from mkdocs.exceptions import MkDocsException  # noqa: PLC0415

    slow = {"commands": reference.commands(site.app), "drills": drills.table(site.runbook_ids)}
    _stage(site, work / "docs", texts | slow)
    try:
        with _warnings_to(say):
            _run_mkdocs(site, work)
    except MkDocsException as error:
        raise RunBroke(f"MkDocs could not build the docs: {error}.") from error
    made = work / "site"
    files = {path.relative_to(made).as_posix(): path for path in made.rglob("*") if path.is_file()}
    return {name: path for name, path in sorted(files.items()) if not _NOT_OURS.fullmatch(name)}


def _stage(site: Site, docs: Path, texts: Mapping[str, str]) -> None:
    """Copy docs/ and the runbooks to where MkDocs reads them, and fill in the generated parts."""
    shutil.copytree(catalog.share("docs"), docs)
    for path in docs.rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        for name, made in texts.items():
            text = text.replace(f"<!-- opsnb: {name} -->", made)
        path.write_text(text, encoding="utf-8")
    for info in site.infos:
        staged = docs / "runbooks" / f"{info.id}.ipynb"
        staged.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(info.path, staged)


def _run_mkdocs(site: Site, work: Path) -> None:
    # Imported here because most builds find the docs unchanged.
    from mkdocs.commands.build import build  # noqa: PLC0415
    from mkdocs.config import load_config  # noqa: PLC0415

    config = load_config(
        str(catalog.share("mkdocs.yml")),
        docs_dir=str(work / "docs"),
        site_dir=str(work / "site"),
    )
    _complete(config, site)
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    config.plugins.on_shutdown()


@contextmanager
def _warnings_to(say: Callable[[str], None]) -> Iterator[None]:
    """Pass on the warnings of MkDocs."""

    class Reporter(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"{record.levelname.capitalize()}: {record.getMessage()}")

    logger, reporter = logging.getLogger("mkdocs"), Reporter(logging.WARNING)
    logger.addHandler(reporter)
    try:
        yield
    finally:
        logger.removeHandler(reporter)


def _complete(config: MkDocsConfig, site: Site) -> None:
    """Add to MkDocs' configuration what mkdocs.yml cannot contain."""
    from opsnb.site.docs.runbooks import RunbookPages, navigation  # noqa: PLC0415

    config.theme.dirs[:0] = [str(FOLDER.with_name("theme")), str(FOLDER)]
    tabs: dict[str, Any] = dict(TABS)
    tabs["Runbooks"] = [{"Overview": tabs["Runbooks"]}, *navigation(site.infos)]
    tabs["Docs"] = config.nav
    config.nav = [{words: pages} for words, pages in tabs.items()]
    config.extra["homepage"] = TABS[0][1]
    config.plugins["mkdocs-jupyter"].config["cache_dir"] = str(_cache())
    # As with MkDocs' hooks, any object with methods named after events will do.
    config.plugins["opsnb"] = cast("BasePlugin[Any]", RunbookPages(site.infos))


def _cache() -> Path:
    """Return where converted runbooks are kept between builds."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "opsnb" / "site"
