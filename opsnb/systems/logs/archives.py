"""Packed logs, unpacked as they are read: gzip, zstd, xz and bzip2."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, cast

import zstandard

_BLOCK = 2**14
"""Bytes that are unpacked at once: what they grow to stays in memory."""
PROGRAMS = {".gz": "gzip", ".zst": "zstd", ".xz": "xz", ".bz2": "bzip2"}


class Damaged(Exception):
    """It ends early, or is not what its name says."""


class _Unpacker(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


_UNPACKERS: dict[bytes, Callable[[], object]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"\x28\xb5\x2f\xfd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    b"\xfd7zXZ\x00": lzma.LZMADecompressor,
    b"BZh": bz2.BZ2Decompressor,
}


def unpacked(file: BinaryIO) -> Iterator[bytes]:
    """Yield what is packed in `file`, by what it begins with, block by block. Raises Damaged."""
    data = file.read(_BLOCK)
    if not data:
        return
    make = next((make for magic, make in _UNPACKERS.items() if data.startswith(magic)), None)
    if make is None:
        raise Damaged("is not packed as its name says")
    unpacker = cast(_Unpacker, make())
    while data:
        try:
            yield unpacker.decompress(data)
        except (zlib.error, lzma.LZMAError, OSError, ValueError, zstandard.ZstdError) as error:
            raise Damaged("is damaged") from error
        data = unpacker.unused_data.lstrip(b"\0") if unpacker.eof else b""
        if data:  # another member begins
            unpacker = cast(_Unpacker, make())
            continue
        data = file.read(_BLOCK)
        if data and unpacker.eof:
            unpacker = cast(_Unpacker, make())
    if not unpacker.eof:
        raise Damaged("ends early")
