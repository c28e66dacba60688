"""Test that the page shows the words of a server that really recognizes."""

from pathlib import Path

from jiwer import wer
from playwright.async_api import Browser, Playwright

from audio.clip import samples_from_ms
from tests.asr.spoken import read
from tests.server.asgi_calls import wav
from tests.server.server_process import Program
from tests.web.browser import (
    MAX_WORD_ERROR_RATE,
    SENTENCES,
    WAV,
    launch_chromium,
    microphone_flags,
    open_page,
    segment_texts,
    transcribe_file,
    wait_for_state,
)
from tests.web.media_files import make_file
from tests.web.test_live_recording import start, stop


async def test_real_recognition_hears_most_words_of_a_file(
    browser: Browser, sphinx: Program, tmp_path: Path
) -> None:
    """The codec is a lossy one."""
    async with open_page(browser, sphinx.url) as page:
        await transcribe_file(page, make_file(tmp_path, "mp3"))
        heard = await segment_texts(page)
    assert wer(SENTENCES[0], " ".join(heard)) <= MAX_WORD_ERROR_RATE, heard


async def test_real_recognition_hears_most_words_of_the_microphone(
    chromium: Playwright, sphinx: Program, tmp_path: Path
) -> None:
    two = tmp_path / "two.wav"
    two.write_bytes(wav(read(WAV).samples[: samples_from_ms(7_500)]))
    async with (
        launch_chromium(chromium, *microphone_flags(two)) as browser,
        open_page(browser, sphinx.url) as page,
    ):
        await start(page)
        await wait_for_state(page, "() => document.querySelector('#elapsed').textContent >= '0:09'")
        await stop(page)
        heard = await segment_texts(page)
    assert wer(" ".join(SENTENCES[:2]), " ".join(heard)) <= MAX_WORD_ERROR_RATE, heard
