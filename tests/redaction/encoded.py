"""Known secrets in every way in which they are written where operators read."""

from __future__ import annotations

import base64
import binascii
import html
import json
import quopri
import re
import shlex
import subprocess
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote, quote_plus

from tests.redaction.corpus import Planted

SECRETS = (
    "p@s:Kd'hWqzTrn",
    'p@s:Mv"xRbLpq9',
    "correct horse battery",
    "Tr0ub4dor&3-Zx<y>",
    "pässwörd-€uro-99",
    "f00/b4r+q8x==Kd",
    "back\\slash\\Pw77",
    "417250938164",
    "{curly}$HOME`tick`8",
    "aVeryLongRandomValueOf48LettersAndFigures0123456",
)


@dataclass(frozen=True)
class Written(Planted):
    """A known secret in a text; `way` is how it is written there."""

    way: str

    def is_legible(self, masked: str) -> bool:
        """Whether what the secret was written as is still there."""
        return self.text in masked or self.secret in masked or masked == self.text


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _json(secret: str) -> str:
    return json.dumps(secret)


def _in_line(secret: str) -> str:
    return f"login as {secret} refused"


def _wrapped(columns: int) -> Callable[[str], str]:
    def write(secret: str) -> str:
        coded = base64.b64encode(b"k" * (columns // 2) + secret.encode() + b"end").decode()
        return "\n".join(textwrap.wrap(coded, columns))

    return write


def _dump(secret: str, line: Callable[[int, bytes], str]) -> str:
    """Return a dump of a URL with the secret, which straddles two lines."""
    raw = f"redis://op:{secret}@host/0".encode()
    return "\n".join(line(at, raw[at : at + 16]) for at in range(0, len(raw), 16))


def _shown(raw: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in raw)


def _hexdump(at: int, raw: bytes) -> str:
    pairs = f"{raw[:8].hex(' ')}  {raw[8:].hex(' ')}"
    return f"{at:08x}  {pairs:49} |{_shown(raw)}|"


def _xxd(at: int, raw: bytes) -> str:
    return f"{at:08x}: {raw.hex(' ', -2):40} {_shown(raw)}"


def _words(at: int, raw: bytes) -> str:
    """Return a line of plain hexdump: words of two bytes, the lower byte first."""
    raw += b"\0" * (len(raw) % 2)
    swapped = bytes(byte for pair in zip(raw[1::2], raw[::2], strict=True) for byte in pair)
    return f"{at:07x} {swapped.hex(' ', -2)}"


def _od(kind: str, *options: str) -> Callable[[str], str]:
    """Return how `od` prints a URL with the secret, which straddles two lines."""

    def write(secret: str) -> str:
        raw = f"redis://op:{secret}@host/0".encode()
        command = ["od", *options, "-t", kind]
        return subprocess.run(
            command, input=raw, stdout=subprocess.PIPE, check=True
        ).stdout.decode()

    return write


def _cat(secret: str) -> str:
    """Return how `cat -A` prints the secret on two lines."""
    raw = f"as {secret[:7]}\n{secret[7:]} end\n".encode()
    return subprocess.run(
        ["cat", "-A"], input=raw, stdout=subprocess.PIPE, check=True
    ).stdout.decode()


def _uuencoded(secret: str) -> str:
    raw = f"{'k' * 40}{secret} end".encode()
    lines = (binascii.b2a_uu(raw[at : at + 45]).decode() for at in range(0, len(raw), 45))
    return f"begin 644 env\n{''.join(lines)}`\nend\n"


WAYS: dict[str, Callable[[str], str]] = {
    "plain": _in_line,
    "URL": lambda s: f"redis://u:{quote(s, safe='')}@h",
    "URL, small letters": lambda s: f"GET /a/{_small(quote(s, safe=''))}/b",
    "URL twice": lambda s: f"?next={quote(quote(s, safe=''), safe='')}",
    "form": lambda s: f"a=1&x={quote_plus(s)}&b=2",
    "JSON": lambda s: f'{{"x": {_json(s)}}}',
    "JSON, not ASCII": lambda s: json.dumps({"x": s}, ensure_ascii=False),
    "JSON in JSON": lambda s: json.dumps({"x": json.dumps({"y": s})}),
    "JSON, UTF-16 escapes": lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
    "JSON, Go's escapes": lambda s: _json(s).replace("&", "\\u0026").replace("<", "\\u003c"),
    "HTML": lambda s: f"<td>{html.escape(s)}</td>",
    "HTML twice": lambda s: html.escape(html.escape(s)),
    "HTML, entities": lambda s: "".join(f"&#{ord(c)};" for c in s),
    "HTML, hex entities": lambda s: "".join(f"&#x{ord(c):X};" for c in s),
    "JSON in HTML": lambda s: html.escape(_json(s)),
    "Python": lambda s: f"x={s!r}",
    "Python, bytes": lambda s: f"x={s.encode()!r}",
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 within": lambda s: base64.b64encode(f"user:{s}!".encode()).decode(),
    "base64, URL-safe": lambda s: base64.urlsafe_b64encode(f"ab{s}".encode()).decode(),
    "base64 at 76 columns": _wrapped(76),
    "base64 at 64 columns": _wrapped(64),
    "base64 of UTF-16": lambda s: base64.b64encode(f"a{s}".encode("utf-16-le")).decode(),
    "base64 in JSON lines": lambda s: json.dumps(_wrapped(76)(s)),
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: f"0x{s.encode().hex().upper()}",
    "hex:hex": lambda s: s.encode().hex(":"),
    "hex hex": lambda s: f"<Buffer {s.encode().hex(' ')}>",
    "hexdump": lambda s: _dump(s, _words),
    "hexdump -C": lambda s: _dump(s, _hexdump),
    "xxd": lambda s: _dump(s, _xxd),
    "xxd -p": lambda s: "\n".join(textwrap.wrap(f"user:{s}@host".encode().hex(), 16)),
    "xxd -i": lambda s: ",\n  ".join(f"0x{byte:02x}" for byte in s.encode()),
    "od": _od("o2"),
    "od -c": _od("c"),
    "od -A x -c": _od("c", "-A", "x"),
    "od -A n -c": _od("c", "-A", "n"),
    "od -b": _od("o1"),
    "od -t u1": _od("u1"),
    "od -t x1z": _od("x1z"),
    "od -t x4": _od("x4"),
    "od -t x8": _od("x8"),
    "cat -A": _cat,
    "uuencode": _uuencoded,
    "base32": lambda s: base64.b32encode(f"u:{s}!".encode()).decode(),
    "base32, small letters": lambda s: base64.b32encode(f"user:{s}".encode()).decode().lower(),
    "characters in JSON": lambda s: json.dumps(list(s)),
    "characters in JSON, in lines": lambda s: json.dumps(list(s), indent=2),
    "characters in Python": lambda s: repr(list(s)),
    "characters by number": lambda s: json.dumps(dict(enumerate(s))),
    "characters as winston spreads them": lambda s: json.dumps(
        {"level": "info", **dict(enumerate(s))}
    ),
    "characters in PHP": lambda s: "".join(f"    [{at}] => '{c}'\n" for at, c in enumerate(s)),
    "characters apart": " ".join,
    "characters with commas": ",".join,
    "characters with commas and blanks": ", ".join,
    "characters with dashes": "-".join,
    "characters in lines": "\n".join,
    "characters with tabs": "\t".join,
    "characters in cells": " | ".join,
    "characters in YAML": lambda s: "\n".join(f"- {c}" for c in s),
    "bytes in PHP": lambda s: ".".join(f"chr({byte})" for byte in s.encode()),
    "bytes by number": lambda s: json.dumps(dict(enumerate(s.encode()))),
    "bytes in lines": lambda s: json.dumps(list(s.encode()), indent=4),
    "bytes with blanks": lambda s: " ".join(map(str, s.encode())),
    "bytes in SQL": lambda s: "||".join(f"chr({byte})" for byte in s.encode()),
    "hex in JSON": lambda s: json.dumps([f"{byte:02x}" for byte in s.encode()]),
    "hex in C": lambda s: "{" + ", ".join(f"0x{byte:02X}" for byte in s.encode()) + "}",
    "number in groups": lambda s: f"x = {int(s):,}" if s.isdigit() else s,
    "number in groups of its own": lambda s: f"{int(s):_}".replace("_", ".") if s.isdigit() else s,
    "SQL literal": lambda s: "SELECT '{}'".format(s.replace("'", "''")),
    "SQL identifier": lambda s: 'SELECT 1 AS "{}"'.format(s.replace('"', '""')),
    "SQL literal by codes": lambda s: "U&'{}'".format("".join(f"\\{ord(c):04X}" for c in s)),
    "SQL literal by long codes": lambda s: "U&'{}'".format("".join(f"\\+{ord(c):06x}" for c in s)),
    "SQL literal in octal": lambda s: "E'{}'".format("".join(f"\\{b:03o}" for b in s.encode())),
    "base64 twice": lambda s: _base64(_base64(f"user:{s}")),
    "base64 in JSON in base64": lambda s: _base64(json.dumps({"auth": _base64(f"u:{s}")})),
    "JSON in base64": lambda s: _base64(json.dumps({"x": s})),
    "URL in base64": lambda s: _base64(f"redis://u:{quote(s, safe='')}@h"),
    "base64 in a quotation": lambda s: "> " + "\n> ".join(_wrapped(64)(s).splitlines()),
    "buffer in JSON": lambda s: json.dumps({"type": "Buffer", "data": list(s.encode())}),
    "wrapped in a cell": lambda s: f"| {s[:6]} |\n| {s[6:]} |",
    "wrapped in a frame": lambda s: f"│ {s[:6]}    │\n│ {s[6:]} │",
    "wrapped by psql": lambda s: f" {s[:6]}+\n {s[6:]}",
    "wrapped behind a name": lambda s: f"0|api  | {s[:6]}\n0|api  | {s[6:]}",
    "coloured, in caret notation": lambda s: f"a {s[:5]}^[[31m{s[5:]} b",
    "coloured, in syslog": lambda s: f"a {s[:5]}#033[1;31m{s[5:]} b",
    "shell": lambda s: f"psql {shlex.quote(s)}",
    "shell, POSIX quotes": lambda s: "'{}'".format(s.replace("'", "'\\''")),
    "backslashes": lambda s: "".join(c if c.isalnum() else f"\\{c}" for c in s),
    "coloured": lambda s: f"a {s[:5]}\x1b[31m{s[5:]}\x1b[0m b",
    "coloured, as shown": lambda s: f"a {s[:5]}\\x1b[31m{s[5:]} b",
    "wrapped by a terminal": lambda s: f"{s[:6]}\n{s[6:]}",
    "wrapped and indented": lambda s: f"  {s[:6]}   \n      {s[6:]}",
    "quoted-printable": lambda s: quopri.encodestring(f"a {'=' * 60} {s}".encode()).decode(),
}


def _small(text: str) -> str:
    return re.sub("%..", lambda code: code[0].lower(), text)


@cache
def written() -> list[Written]:
    """Return each secret in each way."""
    return [
        Written(way=way, text=write(secret), secret=secret)
        for way, write in WAYS.items()
        for secret in SECRETS
    ]
