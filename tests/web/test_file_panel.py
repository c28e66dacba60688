"""Files are selected or dropped, uploaded whole or in part, and transcribed with progress."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from jiwer import wer
from playwright.async_api import Browser, Dialog, Request

from tests.server.live_server import ROOT, Server
from tests.server.server_process import Program
from tests.web.browser import (
    MAX_WORD_ERROR_RATE,
    SENTENCES,
    WAV,
    choose_file,
    open_page,
    segment_texts,
    transcribe_file,
    wait_for_segments,
)
from tests.web.media_files import CODECS, make_file, make_file_with_pauses

# Records each text of the progress label, with the number of segments at that time.
WATCH = """
window.progress = [];
document.addEventListener("DOMContentLoaded", () => {
  const label = document.querySelector("#progress-label");
  new MutationObserver(() => progress.push(
    [label.textContent.replace(/[\\d:]+.*/, "").trim(), document.querySelectorAll(".segment").length]
  )).observe(label, { childList: true });
});
"""

# Clicks as soon as there is a segment: a click from outside may come when the transcript is complete.
CANCEL_AT_FIRST_SEGMENT = """
new MutationObserver((changes, observer) => {
  if (!document.querySelector(".segment")) return;
  observer.disconnect();
  document.querySelector("#cancel").click();
}).observe(document.body, { childList: true, subtree: true });
"""


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """Run a web server for a folder, and yield its URL."""
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("extension", CODECS)
async def test_every_format_is_transcribed(
    browser: Browser, speech: Program, tmp_path: Path, extension: str
) -> None:
    async with open_page(browser, speech.url) as page:
        await transcribe_file(page, make_file(tmp_path, extension))
        assert await segment_texts(page) == SENTENCES[:1]
        drawn = await page.locator("#file-wave").is_visible()
        assert drawn == (extension != "aiff"), "a waveform is shown if the browser can decode the file"


@pytest.mark.parametrize("ending", ["wav", "mp3"])
async def test_real_recognition_hears_most_words_of_a_file(
    browser: Browser, sphinx: Program, tmp_path: Path, ending: str
) -> None:
    async with open_page(browser, sphinx.url) as page:
        await transcribe_file(page, make_file(tmp_path, ending))
        heard = await segment_texts(page)
    assert wer(SENTENCES[0], " ".join(heard)) <= MAX_WORD_ERROR_RATE, heard


async def test_progress_and_segments_appear_while_transcribing(
    browser: Browser, speech: Program, tmp_path: Path
) -> None:
    async with open_page(browser, speech.url, script=WATCH) as page:
        network = await page.context.new_cdp_session(page)
        slow = {"offline": False, "latency": 0, "uploadThroughput": 500_000, "downloadThroughput": -1}
        await network.send("Network.emulateNetworkConditions", slow)
        await transcribe_file(page, make_file_with_pauses(tmp_path))
        assert await segment_texts(page) == SENTENCES
        labels = [tuple(each) for each in await page.evaluate("progress")]
        stages = list(dict.fromkeys(label for label, _ in labels))
        assert stages == ["Uploading", "Transcribing", "Transcribed up to"]
        assert sum(label == "Uploading" for label, _ in labels) > 3
        assert [count for label, count in labels if label == "Transcribed up to"] == [1, 2, 3]
        assert not await page.locator("#file-progress").is_visible()


async def test_only_the_selected_part_is_uploaded(browser: Browser, speech: Program) -> None:
    sent: list[int] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            sent.append(int(request.headers.get("content-length", 0)) or len(request.post_data_buffer or b""))

    async with open_page(browser, speech.url) as page:
        page.on("request", note)
        await choose_file(page, WAV)
        await page.get_by_label("From").fill("0:03.6")
        await page.get_by_label("to", exact=True).fill("7.6")
        await page.get_by_label("to", exact=True).press("Tab")
        assert await page.get_by_label("to", exact=True).input_value() == "0:07.6"
        await page.get_by_role("button", name="Transcribe").click()
        await wait_for_segments(page, SENTENCES[1])
        start = await page.locator(".segment .time").inner_text()
        assert start in ("0:03", "0:04"), "times are positions in the whole file"
        assert sent
        assert sent[0] < 4.2 * 32_000


async def test_part_is_selected_on_the_waveform(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url) as page:
        await choose_file(page, WAV)
        box = await page.locator("#file-wave").bounding_box()
        assert box
        await page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 40)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40, steps=8)
        await page.mouse.up()
        minutes, seconds = (await page.get_by_label("to", exact=True).input_value()).split(":")
        assert minutes == "0"
        assert 5 < float(seconds) < 7


async def test_invalid_time_is_restored(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url) as page:
        await choose_file(page, WAV)
        for invalid in ("soon", "20", "-1"):
            await page.get_by_label("From").fill(invalid)
            await page.get_by_label("From").press("Tab")
            assert await page.get_by_label("From").input_value() == "0:00.0"


async def test_file_can_be_dropped(browser: Browser, speech: Program, tmp_path: Path) -> None:
    async with open_page(browser, speech.url) as page:
        await page.evaluate(
            """content => {
                const data = new DataTransfer();
                const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
                data.items.add(new File([bytes], "dropped.wav"));
                document.querySelector("#drop").dispatchEvent(
                    new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
            }""",
            base64.b64encode(make_file(tmp_path, "wav").read_bytes()).decode(),
        )
        await page.get_by_role("heading", name="dropped.wav").wait_for()
        await page.locator("#transcribe:enabled").wait_for()
        await page.get_by_role("button", name="Transcribe").click()
        await wait_for_segments(page, SENTENCES[0])


async def test_file_without_audio_is_rejected(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url, allowed_errors="400") as page:
        await choose_file(page, ROOT / "test.txt")
        assert "The whole file" in await page.locator("#file-note").inner_text()
        await page.get_by_role("button", name="Transcribe").click()
        await page.get_by_role("alert").get_by_text("Invalid file format").wait_for()
        assert await segment_texts(page) == []


async def test_transcription_can_be_cancelled(browser: Browser, speech: Program, tmp_path: Path) -> None:
    async with open_page(browser, speech.url) as page:
        await choose_file(page, make_file_with_pauses(tmp_path, seconds=60))
        await page.evaluate(CANCEL_AT_FIRST_SEGMENT)
        await page.get_by_role("button", name="Transcribe").click()
        await page.locator(".segment").first.wait_for()
        await page.locator("#transcribe:enabled").wait_for()
        count = len(await segment_texts(page))
        await page.get_by_role("button", name="Transcribe").click()
        assert count < len(SENTENCES)


async def test_url_is_downloaded_by_the_server(
    browser: Browser, speech: Program, shell: Server, tmp_path: Path
) -> None:
    name = make_file(tmp_path, "ogg").name
    with serve_folder(tmp_path) as url:
        async with open_page(browser, speech.url, allowed_errors="400") as page:
            await page.get_by_label("URL").fill(f"{url}/{name}")
            await page.get_by_role("button", name="Transcribe").first.click()
            await wait_for_segments(page, SENTENCES[0])
            await page.get_by_role("button", name="Close").click()
            page.on("dialog", lambda dialog: dialog.accept())
            await page.get_by_label("URL").fill(f"{url}/nothing.ogg")
            await page.get_by_label("URL").press("Enter")
            await page.get_by_role("alert").get_by_text("The address answers with status 404.").wait_for()
    async with open_page(browser, shell.url) as page:
        assert not await page.get_by_label("URL").is_visible()


async def test_unsaved_transcript_is_discarded_only_if_confirmed(
    browser: Browser, speech: Program, tmp_path: Path
) -> None:
    async with open_page(browser, speech.url) as page:
        messages: list[str] = []

        async def refuse(dialog: Dialog) -> None:
            messages.append(dialog.message)
            await dialog.dismiss()

        page.on("dialog", refuse)
        await transcribe_file(page, make_file(tmp_path, "flac"))
        await page.get_by_role("button", name="Transcribe").click()
        assert len(messages) == 1
        assert await segment_texts(page) == SENTENCES[:1]
