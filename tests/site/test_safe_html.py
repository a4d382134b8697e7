"""HTML from records runs nothing, fetches nothing, and keeps what a reader sees."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from opsnb.site.safe_html import _parsed, _plain, safe

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<svg><animate attributeName=href values=javascript:alert(1) /></svg>",
    '<svg><a xlink:href="javascript:alert(1)">x</a></svg>',
    '<a href="javascript:alert(1)">x</a>',
    '<a href="java\tscript:alert(1)">x</a>',
    '<a href=" \x01JavaScript:alert(1)">x</a>',
    '<a href="&#106;avascript:alert(1)">x</a>',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<a href="vbscript:alert(1)">x</a>',
    '<iframe src="https://evil.example"></iframe>',
    '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "<form action=javascript:alert(1)><button formaction=javascript:alert(1)>x</button></form>",
    '<object data="javascript:alert(1)"></object><embed src="javascript:alert(1)">',
    '<base href="//evil.example/"><link rel=stylesheet href="//evil.example"><meta>',
    '<div style="background:url(https://evil.example)">x</div>',
    '<div style="position:fixed;inset:0">x</div>',
    '<div style="background:u\\72l(https://evil.example)">x</div>',
    '<img src="https://evil.example/pixel">',
    '<img src="//evil.example/pixel">',
    '<img srcset="https://evil.example/pixel 1x">',
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>',
    "<title></title><img src=x onerror=alert(1)>",
    "<textarea></textarea><img src=x onerror=alert(1)>",
    '<p x"><script>alert(1)</script>=1>t</p>',
    '<math><mtext><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=x&gt;">',
    '<g fill="url(https://evil.example)"></g>',
    '<svg><use href="data:image/svg+xml;base64,x#y"></use></svg>',
]
_RUNS = re.compile(
    r"<(script|style|iframe|object|embed|form|base|link|meta|animate)|\son\w+=|script:|evil|<!",
    re.I,
)


@pytest.mark.parametrize("html", HOSTILE)
def test_nothing_in_it_runs_or_is_fetched(html: str) -> None:
    assert not _RUNS.search(safe(html))
    assert safe(safe(html)) == safe(html)


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.com/a?b=1&amp;c=2">docs</a>',
        '<a href="../runbooks/queues/pause.html#act">next</a>',
        '<table class="x"><tr><td colspan="2" style="text-align:right">1 &lt; 2</td></tr></table>',
        '<img alt="chart" src="data:image/png;base64,AAAA"/>',
        '<details class="quiet"><summary>code</summary><pre>a\nb</pre></details>',
        '<svg viewbox="0 0 9 9"><g clip-path="url(#a)"><path d="M0 0L1 1"></path></g></svg>',
    ],
)
def test_what_a_reader_sees_stays(html: str) -> None:
    assert safe(html) == html


@pytest.mark.parametrize(
    "html",
    [
        "<p>a</p></div><div>",
        "<p>a",
        "<div/>text",
        "<svg><p>a</p></svg>",
        "<g></g>",
        "<b><i>a</b></i>",
        "<svg><desc><b>a</b></desc></svg>",
        "a < b",
        "<p title='x'>a</p>",
    ],
)
def test_what_a_browser_may_read_otherwise_is_parsed(html: str) -> None:
    assert _plain(html) is None


_HARMLESS = ["x", "a b", "#a", "url(#a)", "color:red", "a &amp; b", "a & b", "&lt;b&gt;", "'"]
_HARMFUL = ["javascript:alert(1)", "&#106;avascript:x", "url(//evil)", "position:fixed"]
_VALUES = st.sampled_from([*_HARMLESS, *_HARMFUL])
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["class", "href", "style", "onclick", "src", "data-x", "title", "fill"]),
    _VALUES,
    max_size=3,
).map(lambda given: "".join(f' {name}="{value}"' for name, value in given.items()))
_TEXT = st.sampled_from(["", "text", "1 > 0", "&lt;script&gt;", "a &amp; b", "\n", "é\0"])


def _elements(names: list[str], inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda name, attributes, content: f"<{name}{attributes}>{content}</{name}>",
        st.sampled_from(names),
        _ATTRIBUTES,
        inside,
    )


_DRAWINGS = _elements(
    ["svg"], st.recursive(_TEXT, lambda inside: _elements(["g", "path", "text"], inside))
)
_PAGES = st.recursive(
    _TEXT | _DRAWINGS,
    lambda inside: st.lists(
        _elements(["div", "span", "b", "a", "details", "pre", "td"], inside), max_size=3
    ).map("".join),
)


@settings(deadline=None)
@given(_PAGES)
def test_both_ways_to_make_html_safe_keep_the_same(html: str) -> None:
    plain = _plain(html)
    assert plain is not None
    assert _tree(plain) == _tree(_parsed(html))


def _tree(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")
