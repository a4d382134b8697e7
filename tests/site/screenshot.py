"""Write the README's picture: python tests/site/screenshot.py SITE docs/assets/home.png

SITE is a built site. Chromium has to be on the PATH.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main(site: str, picture: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 720}, device_scale_factor=1.5)
        page.goto((Path(site).resolve() / "index.html").as_uri())
        page.screenshot(path=picture, animations="disabled")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
