"""Bring the search up to date: only bundles whose records or pages have changed are made again.

Every name of a file changes with its content, but those of the list of bundles and of what run ids
end with. The list is written when they are all there, and files of former bundles go last, so a
search always finds its files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from sqlite3 import Row

from opsnb.records.index import statement
from opsnb.site.context import Site
from opsnb.site.digests import code, digest
from opsnb.site.docs import building as docs
from opsnb.site.output import File, Output
from opsnb.site.search import bundles, documents
from opsnb.view import addresses

_FOLDER = "search"
_LARGEST = 200
"""Records in one bundle, so that a new one does not make a whole month of thousands again."""
_OWN_PAGES = re.compile(r"contacts\.html|symptoms/.+\.html")
"""Of the site's own pages, those that are searched; the others repeat what records say."""
_RUNS = re.compile(r"<div data-pagefind-ignore>.*?</div>", re.DOTALL)
"""The parts of a page that change with each run: its record is found itself."""


@dataclass(frozen=True)
class _Part:
    """One bundle: what it is made from, and the records that it holds, if it holds records."""

    name: str
    made_from: str
    documents: Callable[[], Iterator[tuple[str, str]]]
    month: str = ""
    run_ids: Sequence[str] = ()
    targets: frozenset[str] = frozenset()


def update(site: Site, output: Output) -> None:
    """Bring the search up to date in `output`, after everything that it finds.

    Raises RunBroke when pagefind fails.
    """
    parts = [_docs(output), *_records(site)]
    listed = [_updated(part, output) for part in parts]
    tails = dict(_tails(parts))
    made_by = digest([version("pagefind"), code("site/search")])
    engine = f"{_FOLDER}/engine-{made_by[:10]}.js"
    given = json.dumps(
        {
            "engine": engine,
            "bundles": listed,
            "targets": sorted(frozenset().union(*(part.targets for part in parts))),
            "tails": "".join(tails),
        },
        separators=(",", ":"),
    )
    text = f"opsnbBundles({given});\n".encode()
    output.update(
        _FOLDER,
        [
            File(engine, made_by, partial(bundles.engine, output.aside / _FOLDER)),
            *tails.values(),
            File(f"{_FOLDER}/bundles.js", digest([text]), lambda: text),
        ],
    )


def _updated(part: _Part, output: Output) -> dict[str, object]:
    """Bring one bundle up to date; return its line in the list of bundles."""
    name = f"{_FOLDER}/{part.name}"
    if output.made_from(name) == part.made_from:
        files = [File(path, made, bytes) for path, made in output.known(name).items()]
        output.update(name, files)
    else:
        output.complete(name, None)
        made = bundles.indexed(part.documents(), output.aside / _FOLDER)
        files = list(_files(name, made))
        output.update(name, files)
        output.complete(name, part.made_from)
    first = next(file.path for file in files if file.path.startswith(f"{name}/all-"))
    file = first.removeprefix(f"{name}/")
    return {"name": name, "file": file, "month": part.month, "records": len(part.run_ids)}


def _files(name: str, bundle: bundles.Bundle) -> Iterator[File]:
    """Yield the files of a bundle; the first is what every search needs."""
    always = bundles.given({f"{name}/{path}": data for path, data in bundle.always.items()})
    made_from = digest([always])
    yield File(f"{name}/all-{made_from[:10]}.js", made_from, lambda: always)
    for path, data in bundle.when_asked.items():
        text = bundles.given({f"{name}/{path}": data})
        yield File(f"{name}/{path}.js", digest([text]), partial(bytes, text))


def _tails(parts: Sequence[_Part]) -> Iterator[tuple[str, File]]:
    """Yield the last parts of run ids by their last letter: a file for each, without that letter.

    In it, those of a bundle stand together, so that a search knows which one to load.
    """
    held: dict[str, dict[str, list[str]]] = {}
    for part in parts:
        for run_id in part.run_ids:
            tail = run_id.rpartition("-")[2]
            of_letter = held.setdefault(tail[-1], {})
            of_letter.setdefault(f"{_FOLDER}/{part.name}", []).append(tail[:-1])
    for letter, of_letter in sorted(held.items()):
        joined = {name: " ".join(tails) for name, tails in of_letter.items()}
        text = f"opsnbTails({json.dumps(letter)}, {json.dumps(joined)});\n".encode()
        file = File(f"{_FOLDER}/tails-{letter}.js", digest([text]), partial(bytes, text))
        yield letter, file


def _docs(output: Output) -> _Part:
    own = filter(_OWN_PAGES.fullmatch, output.known("pages"))
    lasting = {path: _RUNS.sub("", _text(output.folder, path)) for path in own}
    paths = [path for path in output.known(docs.PART) if path.endswith(".html")]
    made_from = [
        code("site/search"),
        output.made_from(docs.PART) or "",
        *lasting,
        *lasting.values(),
    ]
    return _Part("docs", digest(made_from), partial(_pages, output.folder, paths, lasting))


def _pages(folder: Path, paths: Sequence[str], own: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for path in paths:
        yield path, _text(folder, path)
    yield from own.items()


def _text(folder: Path, path: str) -> str:
    return (folder / path).read_text(encoding="utf-8")


def _records(site: Site) -> Iterator[_Part]:
    """Yield the bundles of records, the newest first."""
    index = site.store.index
    made_by = digest([code("site/search", "site/templates/searched.html.j2"), version("pagefind")])
    months = groupby(index.read(statement("records", Path(__file__).parent)), itemgetter("month"))
    parts = [
        _month(site, f"{month}.{number}", rows, made_by)
        for month, of_month in months
        for number, rows in enumerate(_cut(list(of_month)), 1)
    ]
    yield from reversed(parts)


def _cut(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), _LARGEST):
        yield rows[start : start + _LARGEST]


def _month(site: Site, name: str, rows: Sequence[Row], made_by: str) -> _Part:
    run_ids = [row["run_id"] for row in rows]
    versions = (f"{row['run_id']} {row['version']}" for row in rows)
    return _Part(
        name,
        digest([made_by, *versions]),
        partial(_searched, site, run_ids),
        rows[0]["month"],
        run_ids,
        frozenset(row["target"] for row in rows),
    )


def _searched(site: Site, run_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    for run_id, html in documents.of_records(site.store.index, run_ids[0], run_ids[-1]):
        yield addresses.record(run_id), html
