"""A site with records of each kind, and the browsers that visit it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from playwright.sync_api import Browser

from opsnb import catalog
from opsnb.config.file import load_config
from opsnb.records.store import Store
from opsnb.site.builder import build
from tests.browser import chromium
from tests.site import samples
from tests.site.visitor import Visitor, served

SCREENS = ((1280, "light"), (390, "dark"))

app = typer.Typer(help="Commands to try.")


@app.command()
def run(runbook: str = typer.Argument(help="Its id.")) -> None:
    """Run a runbook."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with records of each kind."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "opsnb.toml").write_text("[targets.demo]\n[records]\nstore = 'kept'\n")
    samples.write_runbooks(folder / "notebooks")
    store = Store(str(folder / "kept"))
    samples.fill(store)
    samples.keep_several(store)
    share = catalog.share
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPSNB_RECORDS", raising=False)
        patch.setenv("OPSNB_DEMO_HOME", str(folder / "demo"))
        patch.setattr(
            catalog, "share", lambda name: folder / name if name == "notebooks" else share(name)
        )
        config = load_config(folder / "opsnb.toml")
        return build(config, folder / "site", lambda _: None, app=app)


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """The address at which the site is served."""
    with served(site) as home:
        yield home


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(params=SCREENS, ids=str)
def visitor(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    yield Visitor(context.new_page())
    context.close()
