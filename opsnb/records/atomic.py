"""Write files and folders of a local store so that readers see each whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from opsnb.machine import private_files

WRITING = ".writing"
"""The folder of a store in which new records are written before they are moved into place."""
_ABANDONED_AFTER_S = 24 * 3600.0  # no record takes a day to write
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_LINKED = 2


class Taken(Exception):
    """Another record has that run id."""


def create_folder(root: Path, final: Path, files: dict[str, bytes]) -> None:
    """Write `files` aside and rename their folder to `final`. Raises Taken when that exists."""
    aside = root / WRITING / final.name
    _sweep(aside.parent)
    private_files.settle(root)
    private_files.folder_below(aside.parent)
    try:
        private_files.new_folder(aside)
    except FileExistsError as error:
        raise Taken from error
    try:
        for name, data in files.items():
            _write(aside / name, data)
        _sync_folder(aside)
        private_files.folder_below(final.parent)
        _rename(aside, final)
        _sync_folder(final.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _rename(aside: Path, final: Path) -> None:
    try:
        aside.rename(final)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise Taken from error
        raise


def create(path: Path, data: bytes) -> bool:
    """Create `path` with all of its content at once; return False when it exists."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    _write(aside, data)
    try:
        os.link(aside, path)
    except FileExistsError:
        # NFS repeats a request when the reply is lost, and then finds the link that it made.
        return aside.stat().st_nlink == _LINKED
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create_open(path, data)
    finally:
        aside.unlink()
    return True


def _create_open(path: Path, data: bytes) -> bool:
    """Create `path` on a file system without links: exclusive, but readers may see a part."""
    try:
        _write(path, data)
    except FileExistsError:
        return False
    return True


def replace(folder: Path, files: dict[str, bytes]) -> None:
    """Replace `files`; a reader sees the old or the new content of each, never a part."""
    private_files.folder_below(folder)
    # Two writers in two containers may have the same pid.
    asides = {name: folder / f".{name}.{secrets.token_hex(8)}" for name in files}
    try:
        for name, aside in asides.items():
            _write(aside, files[name])
        for name, aside in asides.items():
            aside.replace(folder / name)
        _sync_folder(folder)
    except BaseException:
        for aside in asides.values():
            aside.unlink(missing_ok=True)
        raise


def _write(path: Path, data: bytes) -> None:
    mode = private_files.mode_in(path.parent)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)  # a group's rights, whatever the umask
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_folder(root: Path, folder: Path) -> None:
    """Remove a record's `folder` from the store at `root`: readers see all of it, or nothing."""
    aside = root / WRITING / f"{folder.name}.{secrets.token_hex(8)}"
    private_files.folder_below(aside.parent)
    folder.rename(aside)
    shutil.rmtree(aside)


def sweep_files(folder: Path, names: Iterable[str]) -> None:
    """Remove those of the files `names` in `folder` that killed writers have left aside."""
    for name in names:
        if name.startswith("."):
            with suppress(OSError):
                if time.time() - (folder / name).stat().st_mtime > _ABANDONED_AFTER_S:
                    (folder / name).unlink()


def _sweep(writing: Path) -> None:
    """Remove what killed writers have left."""
    with suppress(FileNotFoundError):
        for left in list(writing.iterdir()):
            if time.time() - left.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(left, ignore_errors=True)
