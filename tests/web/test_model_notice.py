"""The page says when the words will be poor, and why a model was chosen."""

import os
from pathlib import Path

from playwright.async_api import Browser

from asr.model_registry import NOT_IN_REACH, POOR_WORDS
from tests.server.live_server import Server
from tests.server.server_process import program
from tests.web.browser import open_page


async def test_a_fallback_is_announced(browser: Browser, tmp_path: Path) -> None:
    with program(
        ASR_MODEL="auto",
        ASR_MODEL_CACHE=str(tmp_path),
        HF_HOME=str(tmp_path),
        HF_HUB_OFFLINE="1",
        PIP_NO_INDEX="1",
        PIP_CONFIG_FILE=os.devnull,
    ) as running:
        assert running.ready()["recognizer"]["fallback"] == POOR_WORDS.format(cause=NOT_IN_REACH)
        async with open_page(browser, running.url) as page:
            await page.get_by_text(POOR_WORDS.format(cause=NOT_IN_REACH), exact=True).wait_for()


async def test_a_model_that_was_requested_needs_no_notice(browser: Browser, shell: Server) -> None:
    async with open_page(browser, shell.url) as page:
        await page.locator('#model[title="free"]').wait_for(state="attached")
        assert not await page.locator("#model-notice").is_visible()
