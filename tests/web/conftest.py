"""Chromium, and servers with the page. Everything here runs in one event loop, where the browser lives."""

import re
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Playwright, async_playwright

from tests.server.program import Program, program
from tests.server.running import Server, free_settings, serve
from tests.web.browser import ALLOWED, CHROMIUM, Modules, launched


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/web/" in item.path.as_posix():
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip("no Chromium: apt-get install chromium"))


@pytest.fixture(scope="session")
def speech() -> Iterator[Program]:
    """A server with the embedded recognizer, which understands test.wav word for word; and fetches files."""
    with program(ASR_MODEL="pocketsphinx", FETCH_URLS="true", FETCH_PRIVATE="true") as running:
        assert running.ready()["ready"]
        yield running


@pytest.fixture(scope="session")
def shell() -> Iterator[Server]:
    """A server with a recognizer that costs nothing and knows nothing."""
    with serve(free_settings()) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Playwright]:
    async with async_playwright() as playwright:
        yield playwright


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: Playwright) -> AsyncIterator[Browser]:
    """Its microphone is allowed, and beeps."""
    async with launched(chromium, *ALLOWED) as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def modules(browser: Browser, shell: Server) -> AsyncIterator[Modules]:
    page = await browser.new_page()
    await page.goto(shell.url)
    found = re.search(r'src="(web/\w+/)app.js"', await page.content())
    assert found
    await page.goto(f"{shell.url}/health")  # of the same origin, and without a policy
    yield Modules(page, f"{shell.url}/{found[1]}")
    await page.close()
