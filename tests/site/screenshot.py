"""Write the picture of the home page: python -m tests.site.screenshot SITE docs/assets/home.png

SITE is a built site. Chromium has to be on the PATH.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.browser import chromium


def main(site: str, picture: str) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720}, device_scale_factor=1.5)
        page.goto((Path(site).resolve() / "index.html").as_uri())
        page.screenshot(path=picture, animations="disabled")


if __name__ == "__main__":
    main(*sys.argv[1:])
