"""HTML from records runs nothing, fetches nothing, and keeps what a reader sees."""

from __future__ import annotations

import re

import pytest

from opsnb.site.safe_html import safe

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
