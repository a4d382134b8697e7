"""Make HTML from records safe to show: anyone who shares the store may have written it.

What is not listed here is removed, and the rest is serialised again from its tree, so that a
browser parses it exactly as it was parsed here. Nothing in it runs or is fetched from elsewhere.
HTML that is written as plainly as opsnb writes it needs no tree: see `_plain`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape, unescape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import Tag

_TEXT = (
    "a abbr article aside b bdi blockquote br caption cite code col colgroup dd del details dfn "
    "div dl dt em figcaption figure footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark "
    "meter nav ol p pre progress q s samp section small span strong sub summary sup table tbody "
    "td tfoot th thead time tr tt u ul var wbr"
)
_DRAWING = (
    "circle clippath defs desc ellipse g line lineargradient marker mask path pattern polygon "
    "polyline radialgradient rect stop svg symbol text tspan use"
)
_ELEMENTS = frozenset(f"{_TEXT} {_DRAWING}".split())
# Their content is not text for a reader.
_DROPPED = (
    "script style template noscript iframe object embed applet title textarea xmp noembed noframes "
    "plaintext math head base link meta select animate set animatetransform animatemotion"
)
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_-]*(:[a-z]+)?")
_REFUSED = re.compile(
    r"on.*|data-.*|src(doc|set)|action|formaction|background|poster|ping|xmlns:.*"
)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_LINKS = frozenset({"http", "https", "mailto"})
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml)[;,]", re.IGNORECASE)
_UNSAFE_STYLE = re.compile(r"\\|@|expression|script:|position|binding|behavior", re.IGNORECASE)
_FETCHES = re.compile(r"url\(\s*['\"]?(?!#)|image(-set)?\(|src\(", re.IGNORECASE)


# Plain: listed elements in pairs, every attribute in double quotes, no comment, no declaration.
_TOKEN = re.compile(
    r"<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9]*)"
    r"(?P<attributes>(?:\s+[a-zA-Z][a-zA-Z0-9_:-]*=\"[^\"<>]*\")*)\s*(?P<empty>/?)>"
)
_PAIR = re.compile(r"([a-zA-Z][a-zA-Z0-9_:-]*)=\"([^\"]*)\"")
_EMPTY = frozenset({"br", "col", "hr", "img", "wbr"})
_IN_DRAWINGS = frozenset(_DRAWING.split()) - {"desc"}  # a browser reads HTML in it


def safe(html: str) -> str:
    """Return `html` without anything that could run, fetch, submit or cover the page."""
    plain = _plain(html)
    return _parsed(html) if plain is None else plain


def _plain(html: str) -> str | None:
    """Return safe HTML without building a tree; None when it is not as plain as that takes.

    Every byte of the result is text without `<`, or a tag that is written again from its parts.
    """
    written: list[str] = []
    open_elements: list[str] = []
    at = 0
    for token in _TOKEN.finditer(html):
        between = html[at : token.start()]
        name = token["name"].lower()
        if "<" in between or name not in _ELEMENTS:
            return None
        at = token.end()
        written.append(between)
        if token["end"]:
            if not open_elements or open_elements.pop() != name or token["attributes"]:
                return None
            written.append(f"</{name}>")
            continue
        is_drawn = "svg" in open_elements or name == "svg"
        if is_drawn is not (name in _IN_DRAWINGS):
            return None  # a browser would end the drawing here
        tag = f"<{name}{_safe_attributes(name, token['attributes'])}"
        if name in _EMPTY or (token["empty"] and is_drawn):
            written.append(f"{tag}/>")
        elif token["empty"]:
            return None  # a browser would read it as an opening tag
        else:
            written.append(f"{tag}>")
            open_elements.append(name)
    if open_elements or "<" in html[at:]:
        return None
    return "".join([*written, html[at:]])


@lru_cache(maxsize=4096)
def _safe_attributes(element: str, attributes: str) -> str:
    kept: dict[str, str] = {}
    for name, value in _PAIR.findall(attributes):
        text = unescape(value)
        if _is_safe(element, name.lower(), text):
            kept.setdefault(name.lower(), escape(text))
    return "".join(f' {name}="{value}"' for name, value in kept.items())


def _parsed(html: str) -> str:
    # Imported here because what opsnb writes itself seldom needs it.
    from bs4 import BeautifulSoup  # noqa: PLC0415
    from bs4.element import NavigableString, PreformattedString  # noqa: PLC0415

    soup = BeautifulSoup(html, "html.parser")
    for element in soup.find_all(_DROPPED.split()):
        element.decompose()
    for text in soup.find_all(string=lambda text: isinstance(text, PreformattedString)):
        text.extract()  # comments, declarations, CDATA
    for element in soup.find_all(True):
        if element.name in _ELEMENTS:
            _clean(element)
        else:
            element.unwrap()
    for text in soup.find_all(string=True):
        if type(text) is not NavigableString:  # so that it is escaped like any other
            text.replace_with(NavigableString(str(text)))
    return soup.decode(formatter="minimal")


def _clean(element: Tag) -> None:
    for name, value in list(element.attrs.items()):
        text = " ".join(value) if isinstance(value, list) else str(value)
        if not _is_safe(element.name, name, text):
            del element.attrs[name]


def _is_safe(element: str, name: str, value: str) -> bool:
    if not _ATTRIBUTE.fullmatch(name) or _REFUSED.fullmatch(name):
        return False
    if name == "style":
        return not (_UNSAFE_STYLE.search(value) or _FETCHES.search(value))
    if name in ("href", "xlink:href", "src"):
        return _is_safe_link(element, name, value)
    # Attributes of drawings, such as fill and filter, may fetch something.
    return not _FETCHES.search(value) if "(" in value else True


def _is_safe_link(element: str, name: str, value: str) -> bool:
    # Browsers ignore these when they look for the scheme.
    link = re.sub(r"[\x00-\x20\x7f-\xa0]", "", value)
    scheme = _SCHEME.match(link)
    if name == "src":
        return element == "img" and (bool(_PICTURE.match(link)) or _is_local(link))
    if element != "a":
        return link.startswith("#")
    return scheme is None or scheme[1].lower() in _LINKS


def _is_local(link: str) -> bool:
    return not _SCHEME.match(link) and not re.match(r"[/\\]{2}", link)
