"""The output folder: in place, only what is new, right again after any kill."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from opsnb.errors import UsageError
from opsnb.site import output
from opsnb.site.output import MANIFEST, File, opened


def ignore(_: str) -> None:
    pass


def build(folder: Path, *parts: Mapping[str, str], version: str = "1") -> list[str]:
    """Build a site whose parts have these texts by path; return the paths that were rendered."""
    rendered: list[str] = []

    def content(path: str, text: str) -> Callable[[], bytes]:
        def render() -> bytes:
            rendered.append(path)
            return text.encode()

        return render

    with opened(folder, ignore) as site:
        for number, part in enumerate(parts):
            files = (
                File(path, f"{version} {text}", content(path, text)) for path, text in part.items()
            )
            site.update(f"part {number}", files)
        site.sweep()
    return rendered


def test_a_part_whose_files_got_other_names_is_complete(tmp_path: Path) -> None:
    for made_from, path in (("one", "old.js"), ("two", "new.js")):
        with opened(tmp_path, ignore) as site:
            site.update("search", [File(path, made_from, bytes)])
            site.complete("search", made_from)
            site.sweep()
        with opened(tmp_path, ignore) as site:
            assert site.made_from("search") == made_from


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of each file that a visitor may see."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.relative_to(folder).as_posix().startswith(".")
    }


def test_only_what_is_new_or_changed_is_rendered(tmp_path: Path) -> None:
    pages = {"a.html": "one", "records/b.html": "two", "records/2026/c.html": "three"}
    assert build(tmp_path, pages) == list(pages)
    assert tree(tmp_path) == {path: text.encode() for path, text in pages.items()}
    assert build(tmp_path, pages) == []
    assert build(tmp_path, {**pages, "a.html": "four"}) == ["a.html"]
    assert build(tmp_path, {**pages, "a.html": "four"}, version="2") == list(pages)


def test_a_file_with_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    build(tmp_path, {"a.html": "one"})
    before = (tmp_path / "a.html").stat()
    assert build(tmp_path, {"a.html": "one"}, version="2") == ["a.html"]
    after = (tmp_path / "a.html").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_is_not_wanted_any_more_goes_with_its_folder(tmp_path: Path) -> None:
    build(tmp_path, {"a.html": "one", "records/2026/c.html": "two"}, {"b.html": "three"})
    (tmp_path / "left").mkdir()
    (tmp_path / "left/stray.html").write_text("of nobody")
    (tmp_path / ".git").mkdir()
    build(tmp_path, {"a.html": "one"})
    assert tree(tmp_path) == {"a.html": b"one"}
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {".git"}


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: (path.unlink(), path.symlink_to("/etc/hostname")),
        lambda path: (path.unlink(), path.mkdir(), (path / "inside").write_text("x")),
    ],
)
def test_a_file_that_somebody_harmed_is_made_again(
    tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    pages = {"a/b.html": "one", "c.html": "two"}
    build(tmp_path, pages)
    harm(tmp_path / "a/b.html")
    assert build(tmp_path, pages) == ["a/b.html"]
    assert tree(tmp_path) == {"a/b.html": b"one", "c.html": b"two"}


def test_a_file_in_place_of_a_folder_gives_way(tmp_path: Path) -> None:
    build(tmp_path, {"a": "a file"})
    build(tmp_path, {"a/b.html": "in a folder"})
    assert tree(tmp_path) == {"a/b.html": b"in a folder"}


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_without_a_usable_manifest_everything_is_made_again(tmp_path: Path, content: bytes) -> None:
    build(tmp_path, {"a.html": "one", "b.html": "two"})
    (tmp_path / MANIFEST).write_bytes(content)
    assert build(tmp_path, {"a.html": "one"}) == ["a.html"]
    assert tree(tmp_path) == {"a.html": b"one"}


def test_a_part_that_is_built_as_a_whole_says_whether_it_is_complete(tmp_path: Path) -> None:
    files = [File(name, "1", lambda: b"x") for name in ("a.html", "b.html")]
    with opened(tmp_path, ignore) as site:
        site.update("docs", files)
        assert site.made_from("docs") is None
        site.complete("docs", "these inputs")
    with opened(tmp_path, ignore) as site:
        assert site.made_from("docs") == "these inputs"
    (tmp_path / "a.html").unlink()
    with opened(tmp_path, ignore) as site:
        assert site.made_from("docs") is None


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="something other than a site"):
        build(tmp_path, {"a.html": "one"})
    assert tree(tmp_path) == {"thesis.txt": b"mine"}


_BUILDER = """
import sys, time
from pathlib import Path
from opsnb.site.output import File, opened
from opsnb.site import output
folder, first, last, pause = Path(sys.argv[1]), *map(int, sys.argv[2:4]), float(sys.argv[4])
output._AT_ONCE = 7
def content(n):
    def render():
        time.sleep(pause)
        return f"page {n} of {first}".encode() * 50
    return render
print("starting", flush=True)
with opened(folder, print) as site:
    print("building", flush=True)
    site.update("pages", (File(f"{n % 5}/{n}.html", f"{first} {n}", content(n))
                          for n in range(first, last)))
    site.sweep()
"""


def builder(folder: Path, first: int, last: int, pause: float = 0.0) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", _BUILDER, str(folder), str(first), str(last), str(pause)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_after_a_kill_at_any_moment_the_next_build_is_as_a_fresh_one(tmp_path: Path) -> None:
    chosen, site = random.Random(14), tmp_path / "site"
    killed = 0
    for kill in range(12):
        first = kill % 3  # what the pages are made from changes, and changes back
        with builder(site, first, first + 60, pause=0.002) as running:
            assert running.stdout is not None
            assert running.stdout.readline() == "starting\n"
            time.sleep(chosen.uniform(0, 0.25))
            running.send_signal(signal.SIGKILL)
        killed += running.returncode == -signal.SIGKILL
        wanted = 0 if kill % 2 else first
        for folder in (site, tmp_path / f"fresh{wanted}"):
            builder(folder, wanted, wanted + 60).communicate()
        assert tree(site) == tree(tmp_path / f"fresh{wanted}") != {}
    assert killed >= 6
    assert {path.name for path in site.iterdir() if path.name.startswith(".")} <= {
        MANIFEST,
        ".opsnb-lock",
    }


def test_two_builds_at_once_exclude_each_other(tmp_path: Path) -> None:
    with builder(tmp_path, 0, 60, pause=0.01) as one:
        assert one.stdout is not None
        one.stdout.readline()
        assert one.stdout.readline() == "building\n"
        with builder(tmp_path, 60, 90) as other:
            assert other.stdout is not None
            said = other.stdout.read()
            ended = one.poll()
    assert ended == 0
    assert f"Another build is writing {tmp_path}; waiting for it\nbuilding\n" in said
    assert set(tree(tmp_path)) == {f"{n % 5}/{n}.html" for n in range(60, 90)}


def test_the_files_have_the_rights_that_the_umask_gives(tmp_path: Path) -> None:
    build(tmp_path, {"a/b.html": "one"})
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "a/b.html").stat().st_mode & 0o777 == 0o666 & ~mask
    assert output.MANIFEST.startswith(".")
