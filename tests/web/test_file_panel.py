"""Files on the page: chosen or dropped, sent whole or in part, with progress, and words as they come."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.async_api import Browser, Dialog, Request

from tests.server.program import Program
from tests.server.running import ROOT, Server
from tests.web.media_files import CODECS, make
from tests.web.browser import SENTENCES, WAV, choose, opened, said, transcribe, until_said

# What the progress says, one after the other, and how many segments there were by then.
WATCH = """
window.progress = [];
document.addEventListener("DOMContentLoaded", () => {
  const label = document.querySelector("#progress-label");
  new MutationObserver(() => progress.push(
    [label.textContent.replace(/[\\d:]+.*/, "").trim(), document.querySelectorAll(".segment").length]
  )).observe(label, { childList: true });
});
"""


@contextmanager
def publishing(folder: Path) -> Iterator[str]:
    """The address of a web server that has the folder."""
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("ending", CODECS)
async def test_every_format_becomes_words(
    browser: Browser, speech: Program, tmp_path: Path, ending: str
) -> None:
    async with opened(browser, speech.url) as page:
        await transcribe(page, make(tmp_path, ending))
        assert await said(page) == SENTENCES[:1]
        drawn = await page.locator("#file-wave").is_visible()
        assert drawn == (ending != "aiff"), "a browser draws what it can decode, and sends the rest as it is"


async def test_progress_is_told_and_words_come_while_the_file_is_worked_on(
    browser: Browser, speech: Program
) -> None:
    async with opened(browser, speech.url, script=WATCH) as page:
        network = await page.context.new_cdp_session(page)
        slow = {"offline": False, "latency": 0, "uploadThroughput": 500_000, "downloadThroughput": -1}
        await network.send("Network.emulateNetworkConditions", slow)
        await transcribe(page, WAV)
        assert await said(page) == SENTENCES
        told = [tuple(each) for each in await page.evaluate("progress")]
        stages = list(dict.fromkeys(label for label, _ in told))
        assert stages == ["Uploading", "Transcribing", "Transcribed to"]
        assert sum(label == "Uploading" for label, _ in told) > 3
        assert [count for label, count in told if label == "Transcribed to"] == [1, 2, 3]
        assert not await page.locator("#file-progress").is_visible()


async def test_only_the_part_that_was_chosen_is_sent(browser: Browser, speech: Program) -> None:
    sent: list[int] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            sent.append(int(request.headers.get("content-length", 0)) or len(request.post_data_buffer or b""))

    async with opened(browser, speech.url) as page:
        page.on("request", note)
        await choose(page, WAV)
        await page.get_by_label("From").fill("0:03.6")
        await page.get_by_label("to", exact=True).fill("7.6")
        await page.get_by_label("to", exact=True).press("Tab")
        assert await page.get_by_label("to", exact=True).input_value() == "0:07.6"
        await page.get_by_role("button", name="Transcribe").click()
        await until_said(page, SENTENCES[1])
        start = await page.locator(".segment .time").inner_text()
        assert start in ("0:03", "0:04"), "times are those of the whole file"
        assert sent
        assert sent[0] < 4.2 * 32_000


async def test_a_part_is_chosen_on_the_waveform(browser: Browser, speech: Program) -> None:
    async with opened(browser, speech.url) as page:
        await choose(page, WAV)
        box = await page.locator("#file-wave").bounding_box()
        assert box
        await page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 40)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40, steps=8)
        await page.mouse.up()
        minutes, seconds = (await page.get_by_label("to", exact=True).input_value()).split(":")
        assert minutes == "0"
        assert 5 < float(seconds) < 7


async def test_what_is_no_time_is_put_back(browser: Browser, speech: Program) -> None:
    async with opened(browser, speech.url) as page:
        await choose(page, WAV)
        for wrong in ("soon", "20", "-1"):
            await page.get_by_label("From").fill(wrong)
            await page.get_by_label("From").press("Tab")
            assert await page.get_by_label("From").input_value() == "0:00.0"


async def test_a_file_can_be_dropped(browser: Browser, speech: Program, tmp_path: Path) -> None:
    async with opened(browser, speech.url) as page:
        await page.evaluate(
            """content => {
                const data = new DataTransfer();
                const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
                data.items.add(new File([bytes], "dropped.wav"));
                document.querySelector("#drop").dispatchEvent(
                    new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
            }""",
            base64.b64encode(make(tmp_path, "wav").read_bytes()).decode(),
        )
        await page.get_by_role("heading", name="dropped.wav").wait_for()
        await page.locator("#transcribe:enabled").wait_for()
        await page.get_by_role("button", name="Transcribe").click()
        await until_said(page, SENTENCES[0])


async def test_what_is_no_sound_is_said_to_be_none(browser: Browser, speech: Program) -> None:
    async with opened(browser, speech.url, troubles="400") as page:
        await choose(page, ROOT / "test.txt")
        assert "the whole of it" in await page.locator("#file-note").inner_text()
        await page.get_by_role("button", name="Transcribe").click()
        await page.get_by_role("alert").get_by_text("Invalid file format").wait_for()
        assert await said(page) == []


async def test_a_transcription_can_be_cancelled(browser: Browser, speech: Program) -> None:
    async with opened(browser, speech.url) as page:
        await choose(page, WAV)
        await page.get_by_role("button", name="Transcribe").click()
        await page.locator(".segment").first.wait_for()
        await page.get_by_role("button", name="Cancel").click()
        await page.locator("#transcribe:enabled").wait_for()
        count = len(await said(page))
        await page.get_by_role("button", name="Transcribe").click()
        assert count < len(SENTENCES)


async def test_an_address_is_fetched_by_the_server(
    browser: Browser, speech: Program, shell: Server, tmp_path: Path
) -> None:
    name = make(tmp_path, "ogg").name
    with publishing(tmp_path) as url:
        async with opened(browser, speech.url, troubles="400") as page:
            await page.get_by_label("Address").fill(f"{url}/{name}")
            await page.get_by_role("button", name="Transcribe").first.click()
            await until_said(page, SENTENCES[0])
            await page.get_by_role("button", name="Close").click()
            page.on("dialog", lambda dialog: dialog.accept())
            await page.get_by_label("Address").fill(f"{url}/nothing.ogg")
            await page.get_by_label("Address").press("Enter")
            await page.get_by_role("alert").get_by_text("The address answers with status 404.").wait_for()
    async with opened(browser, shell.url) as page:
        assert not await page.get_by_label("Address").is_visible()


async def test_words_that_were_not_kept_are_not_replaced_unasked(
    browser: Browser, speech: Program, tmp_path: Path
) -> None:
    async with opened(browser, speech.url) as page:
        asked: list[str] = []

        async def refuse(dialog: Dialog) -> None:
            asked.append(dialog.message)
            await dialog.dismiss()

        page.on("dialog", refuse)
        await transcribe(page, make(tmp_path, "flac"))
        await page.get_by_role("button", name="Transcribe").click()
        assert len(asked) == 1
        assert await said(page) == SENTENCES[:1]
