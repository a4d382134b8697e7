"""Bundles of pagefind, as scripts that a page can load from a server and from a folder."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from pagefind.service import get_executable

from opsnb.errors import RunBroke

ENGINE = "pagefind.js"
"""The name under which a page is given pagefind's own script."""

_ENTRY = "pagefind-entry.json"
_ASIDE = ("nav", ".md-sidebar", ".headerlink", ".md-source-file", ".jp-CodeCell")
"""What is on every page, and the code of runbooks."""
_ANY = "<html lang=en><main>Any page</main></html>"
_EXPORT = re.compile(r"export\s*\{(?P<names>[^}]*)\};?\s*$")


@dataclass(frozen=True)
class Bundle:
    """An index of pagefind: the files that a search fetches, in base64, by their names."""

    always: Mapping[str, str]
    """What every search needs."""
    when_asked: Mapping[str, str]
    """What some searches need: words, and the text of each result."""


def indexed(documents: Iterable[tuple[str, str]], work: Path) -> Bundle:
    """Index HTML documents, given by their path in the site, in the new folder `work`.

    Raises RunBroke when pagefind fails, OSError when `work` cannot be written.
    """
    source, made = work / "source", work / "made"
    for path, html in documents:
        file = source / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(html, encoding="utf-8", errors="replace")
    _run(source, made)
    try:
        return Bundle(
            dict(_files(made, _ENTRY, "*.pf_meta", "filter/*")),
            dict(_files(made, "index/*", "fragment/*")),
        )
    finally:
        rmtree(work)


def engine(work: Path) -> bytes:
    """Return pagefind, compressed, as a script that gives it to the page; raises as `indexed`."""
    (work / "source").mkdir(parents=True)
    (work / "source" / "any.html").write_text(_ANY, encoding="utf-8")
    _run(work / "source", work / "made")
    module = (work / "made" / "pagefind.js").read_text(encoding="utf-8")
    wasm = dict(_files(work / "made", "wasm.en.*"))
    rmtree(work)
    packed = gzip.compress(script(module).encode(), mtime=0)
    return given({**wasm, ENGINE: b64encode(packed).decode()})


def _run(source: Path, made: Path) -> None:
    program = get_executable()
    if program is None:
        raise RunBroke("pagefind is not installed: pip install 'pagefind[bin]'.")
    command = [str(program), "--site", str(source), "--output-path", str(made), "--silent"]
    options = ["--force-language", "en", "--keep-index-url", "--root-selector", "main"]
    ended = subprocess.run(
        [*command, *options, "--exclude-selectors", ", ".join(_ASIDE)],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RunBroke(f"pagefind could not index {source}: {ended.stderr.strip()}")


def _files(made: Path, *patterns: str) -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        for path in sorted(made.glob(pattern)):
            yield path.relative_to(made).as_posix(), b64encode(path.read_bytes()).decode()


def script(module: str) -> str:
    """Return pagefind's module as a classic script, which pages opened as files may load.

    It fetches through `opsnbFetch`. Raises RunBroke when the module is unlike those known.
    """
    body, found = _EXPORT.subn(r"globalThis.opsnbPagefind = {\g<names>};", module)
    if found != 1:
        raise RunBroke("This version of pagefind is not supported: its module exports nothing.")
    body = body.replace("import.meta.url", "undefined")
    return f"(() => {{\nconst fetch = globalThis.opsnbFetch;\n{body}\n}})();\n"


def given(files: Mapping[str, str]) -> bytes:
    """Return a script that gives these files to the page."""
    return f"opsnbFiles({json.dumps(files)});\n".encode()
