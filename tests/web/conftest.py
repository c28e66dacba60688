"""Fixtures: Chromium, and servers with the page. All tests run in one event loop, that of the browser."""

import re
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Playwright, async_playwright

from tests.server.live_server import Server, free_settings, serve
from tests.server.server_process import Hold, Program, program, scripted
from tests.web.browser import CHROMIUM, MICROPHONE_ALLOWED, Modules, launch_chromium

FETCHING = {"FETCH_URLS": "true", "FETCH_PRIVATE": "true", "ASR_BATCH_ITEMS": "1"}
SHARING = {"SHARE_SESSIONS": "true"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/web/" in item.path.as_posix():
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip("no Chromium: apt-get install chromium"))


@pytest.fixture(scope="session")
def session_hold(tmp_path_factory: pytest.TempPathFactory) -> Hold:
    return Hold(tmp_path_factory.mktemp("hold") / "text")


@pytest.fixture
def hold(session_hold: Hold) -> Iterator[Hold]:
    """Hold the recognizers of `speech` and `with_jobs` where a test wants it, at most until its end."""
    yield session_hold
    session_hold.release()


@pytest.fixture(scope="session")
def speech(session_hold: Hold) -> Iterator[Program]:
    """A server whose recognizer answers with the words of test.wav, clip by clip; it fetches files too.

    It keeps no jobs, so that the text of files comes as it is recognized.
    """
    with scripted(**session_hold.settings, **FETCHING, **SHARING, DATA_DIR="") as running:
        assert running.ready()["ready"], running.log
        yield running


@pytest.fixture(scope="session")
def with_jobs(session_hold: Hold) -> Iterator[Program]:
    """The same recognizer on a server that keeps jobs."""
    with scripted(**session_hold.settings, **FETCHING) as running:
        assert running.ready()["ready"], running.log
        yield running


@pytest.fixture(scope="session")
def sphinx() -> Iterator[Program]:
    """A server that really recognises. What it hears is judged by its word error rate."""
    with program(ASR_MODEL="pocketsphinx") as running:
        assert running.ready()["ready"], running.log
        yield running


@pytest.fixture(scope="session")
def shell() -> Iterator[Server]:
    """A server with a dummy recognizer."""
    with serve(free_settings()) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Playwright]:
    async with async_playwright() as playwright:
        yield playwright


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: Playwright) -> AsyncIterator[Browser]:
    """A browser with a microphone that beeps and needs no permission."""
    async with launch_chromium(chromium, *MICROPHONE_ALLOWED) as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def modules(browser: Browser, shell: Server) -> AsyncIterator[Modules]:
    page = await browser.new_page()
    await page.goto(shell.url)
    found = re.search(r'src="(web/\w+/)app.js"', await page.content())
    assert found
    await page.goto(f"{shell.url}/health")  # same origin, without a Content-Security-Policy
    yield Modules(page, f"{shell.url}/{found[1]}")
    await page.close()
