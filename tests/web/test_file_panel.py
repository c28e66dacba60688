"""Files are selected or dropped, uploaded whole or in part, and transcribed with progress."""

import base64
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.async_api import Browser, Request

from tests.server.live_server import Server
from tests.server.server_process import Hold, Program, kill, scripted
from tests.web.browser import (
    SENTENCES,
    WAV,
    choose_file,
    open_page,
    segment_texts,
    transcribe_file,
    wait_for_segments,
    wait_for_state,
)
from tests.web.media_files import CODECS, make_file, make_file_with_pauses, make_video_without_audio

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


async def test_every_format_is_transcribed(browser: Browser, speech: Program, tmp_path: Path) -> None:
    """One page takes them all, one after the other."""
    async with open_page(browser, speech.url) as page:
        for extension in CODECS:
            await page.evaluate("announcer.textContent = ''")
            await transcribe_file(page, make_file(tmp_path, extension))
            assert await segment_texts(page) == SENTENCES[:1], extension
            drawn = await page.locator("#file-wave").is_visible()
            assert drawn == (extension != "aiff"), "a waveform is shown if the browser can decode the file"


async def test_progress_and_segments_appear_while_transcribing(
    browser: Browser, speech: Program, tmp_path: Path, hold: Hold
) -> None:
    hold.at(SENTENCES[1])
    async with open_page(browser, speech.url, script=WATCH) as page:
        network = await page.context.new_cdp_session(page)
        slow = {"offline": False, "latency": 0, "uploadThroughput": 500_000, "downloadThroughput": -1}
        await network.send("Network.emulateNetworkConditions", slow)
        await choose_file(page, make_file_with_pauses(tmp_path))
        await page.get_by_role("button", name="Transcribe").click()
        await wait_for_segments(page, SENTENCES[0])
        hold.release()
        await wait_for_segments(page, *SENTENCES)
        labels = [tuple(each) for each in await page.evaluate("progress")]
        stages = list(dict.fromkeys(label for label, _ in labels))
        assert stages == ["Uploading", "Transcribing", "Transcribed up to"]
        assert sum(label == "Uploading" for label, _ in labels) > 3
        counts = [count for label, count in labels if label == "Transcribed up to"]
        assert counts[0] == 1
        assert counts == sorted(counts)  # two that are recognized together may appear together
        assert counts[-1] == 3
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


async def test_part_of_a_file_of_more_than_an_hour_is_cut(
    browser: Browser, speech: Program, tmp_path: Path
) -> None:
    with wave.open(str(tmp_path / "long.wav"), "wb") as file:
        file.setparams((1, 2, 4_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 4_000 * 3_700))
    sent: list[int] = []
    async with open_page(browser, speech.url) as page:
        page.on("request", lambda each: sent.append(int(each.headers.get("content-length", 0))))
        await choose_file(page, tmp_path / "long.wav")
        assert await page.get_by_label("to", exact=True).input_value() == "1:01:40.0"
        await page.get_by_label("From").fill("1:01:00")
        await page.get_by_label("From").press("Tab")
        await page.get_by_role("button", name="Transcribe").click()
        await page.get_by_role("alert").get_by_text("No speech was found").wait_for()
        assert await page.get_by_label("From").input_value() == "1:01:00.0"
    assert max(sent) < 41 * 8_000


@pytest.mark.parametrize("jobs", [False, True], ids=["request", "job"])
async def test_server_cuts_a_file_that_the_browser_cannot_decode(
    browser: Browser, speech: Program, with_jobs: Program, tmp_path: Path, jobs: bool
) -> None:
    async with open_page(browser, (with_jobs if jobs else speech).url) as page:
        await choose_file(page, make_file(tmp_path, "aiff"))
        start, end = page.get_by_label("From"), page.get_by_label("to", exact=True)
        assert await end.input_value() == ""
        await end.fill("soon")
        await end.press("Tab")
        assert await end.input_value() == "", "an invalid time is restored"
        await start.fill("1.5")
        await start.press("Tab")
        await page.get_by_role("button", name="Transcribe").click()
        await page.locator(".segment .edit").first.wait_for(state="attached")
        [text] = await segment_texts(page)
        assert SENTENCES[0].endswith(text)
        assert len(text) < len(SENTENCES[0])
        assert await page.locator(".segment .time").inner_text() in ("0:01", "0:02"), "in the whole file"


async def test_part_of_a_long_compressed_file_has_times(
    browser: Browser, shell: Server, tmp_path: Path
) -> None:
    path = tmp_path / "long.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=8_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8_000 * 3_700), np.int16), "s16", "mono")
        frame.sample_rate = 8_000
        for each in av.AudioResampler("s16", "mono", 8_000, frame_size=4096).resample(frame):
            container.mux(stream.encode(each))
        container.mux(stream.encode())
    async with open_page(browser, shell.url) as page:
        await choose_file(page, path)
        assert not await page.locator("#file-wave").is_visible()
        await page.get_by_text("longer than an hour").wait_for()
        end = page.get_by_label("to", exact=True)
        assert (await end.input_value()).startswith("1:01:3")
        await end.fill("1:00:00")
        await end.press("Tab")
        assert await end.input_value() == "1:00:00.0"


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


def write_bad_file(folder: Path, kind: str) -> Path:
    """Write a file without audio."""
    path = folder / f"{kind}.wav"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "page":
        path.write_text("<!DOCTYPE html><title>A page</title>")
    elif kind == "text":
        path.write_text("Only a text. " * 100)
    elif kind == "mute":
        path = make_video_without_audio(folder)
    else:
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "The file is empty."),
        ("page", "This is a web page"),
        ("text", "Invalid file format. Supported formats"),
        ("mute", "The file contains no audio."),
        ("header", "The file contains no audio."),
    ],
)
async def test_bad_file_is_rejected_with_its_reason(
    browser: Browser, speech: Program, tmp_path: Path, kind: str, message: str
) -> None:
    async with open_page(browser, speech.url, allowed_errors="400") as page:
        await page.set_input_files("#file", write_bad_file(tmp_path, kind))
        if kind not in ("empty", "page"):  # these are told without an upload
            await page.locator("#transcribe:enabled").wait_for()
            await page.get_by_role("button", name="Transcribe").click()
        await page.get_by_role("alert").get_by_text(message).wait_for()
        assert ("Supported formats" in await page.get_by_role("alert").inner_text()) == (kind == "text")
        assert await segment_texts(page) == []


async def test_silent_file_is_named(browser: Browser, speech: Program, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "silence.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(64_000))
    async with open_page(browser, speech.url) as page:
        await choose_file(page, tmp_path / "silence.wav")
        await page.get_by_role("button", name="Transcribe").click()
        await page.get_by_role("alert").get_by_text("silence.wav: No speech was found").wait_for()


ANNOUNCED = """
window.announced = [];
document.addEventListener("DOMContentLoaded", () => {
  const announcer = document.querySelector("#announcer");
  new MutationObserver(() => announced.push(announcer.textContent)).observe(announcer, { childList: true });
});
"""


async def test_transcription_can_be_cancelled(
    browser: Browser, speech: Program, tmp_path: Path, hold: Hold
) -> None:
    hold.at(SENTENCES[1])
    async with open_page(browser, speech.url, script=ANNOUNCED) as page:
        await choose_file(page, make_file_with_pauses(tmp_path, seconds=60))
        await page.get_by_role("button", name="Transcribe").click()
        await wait_for_segments(page, SENTENCES[0])
        await page.locator("#cancel").click()
        await page.locator("#transcribe:enabled").wait_for()
        assert await segment_texts(page) == SENTENCES[:1]
        announced = await page.evaluate("announced")
        assert announced[-1] == "Cancelled."
        assert "The transcript is complete." not in announced


async def test_failed_file_keeps_the_transcript_before(browser: Browser, tmp_path: Path) -> None:
    with scripted() as server:
        assert server.ready()["ready"], server.log
        async with open_page(browser, server.url, allowed_errors="Failed to load") as page:
            await transcribe_file(page, WAV)
            await choose_file(page, make_file(tmp_path, "mp3"))
            assert await segment_texts(page) == SENTENCES, "opening a file discards nothing"
            kill(server.process.pid)
            await page.evaluate("announcer.textContent = ''")
            await page.get_by_role("button", name="Transcribe").click()
            await (
                page.get_by_role("alert").get_by_text("speech.mp3: The server cannot be reached.").wait_for()
            )
            assert await segment_texts(page) == SENTENCES
            assert "complete" not in await page.locator("#announcer").inner_text()


async def test_time_plays_the_file_of_its_transcript(
    browser: Browser, speech: Program, tmp_path: Path
) -> None:
    async with open_page(browser, speech.url) as page:
        await transcribe_file(page, WAV)
        await choose_file(page, make_file(tmp_path, "wav"))
        assert await page.evaluate("media.duration") < 5
        await page.get_by_role("button", name="Play from 0:03").click()
        await wait_for_state(page, "() => media.duration > 10 && media.currentTime > 3 && !media.paused")
        await page.evaluate("media.pause()")


async def test_end_of_the_transcript_is_not_hidden_by_a_video(
    browser: Browser, speech: Program, tmp_path: Path
) -> None:
    for size in ({"width": 360, "height": 640}, {"width": 1280, "height": 500}):
        async with open_page(browser, speech.url, viewport=size) as page:
            await transcribe_file(page, make_file(tmp_path, "webm"))
            await page.locator("#player[data-video]").wait_for()
            await page.evaluate("scrollTo(0, document.body.scrollHeight)")
            await wait_for_state(
                page,
                "() => document.querySelector('.segment:last-child .text').getBoundingClientRect().bottom"
                " <= document.querySelector('#player').getBoundingClientRect().top",
            )


async def test_video_stands_beside_the_text_on_a_wide_screen(
    browser: Browser, speech: Program, tmp_path: Path
) -> None:
    async with open_page(browser, speech.url, viewport={"width": 1440, "height": 700}) as page:
        await transcribe_file(page, make_file(tmp_path, "webm"))
        await page.locator("#player[data-video]").wait_for()
        await page.evaluate("scrollTo(0, document.body.scrollHeight)")
        text = await page.locator(".segment").last.bounding_box()
        video = await page.locator("#media").bounding_box()
        assert text is not None
        assert video is not None
        assert text["x"] + text["width"] <= video["x"]
        assert 0 <= video["y"] <= 100
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_spoken_word_is_kept_in_view(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url, viewport={"width": 360, "height": 400}) as page:
        await transcribe_file(page, WAV)
        await page.evaluate("scrollTo(0, 0)")
        await page.evaluate("media.currentTime = 8; media.play()")
        await wait_for_state(
            page,
            """() => {
                const word = document.querySelector(".playing")?.getBoundingClientRect();
                return word && word.top > 0
                    && word.bottom < document.querySelector("#player").getBoundingClientRect().top;
            }""",
        )


async def test_recording_does_not_cancel_a_file(
    browser: Browser, speech: Program, tmp_path: Path, hold: Hold
) -> None:
    hold.at(SENTENCES[2])
    async with open_page(browser, speech.url) as page:
        await choose_file(page, make_file_with_pauses(tmp_path))
        await page.get_by_role("button", name="Transcribe").click()
        await page.get_by_role("button", name="Start recording").click()
        await page.get_by_role("button", name="Stop").click()
        await page.locator("#queue-list .state").wait_for()
        hold.release()
        await wait_for_state(page, "() => announcer.textContent.includes('complete')")
        assert not await page.locator("#queue").is_visible()
        await page.locator("#library summary").click()
        await page.locator("#library").get_by_role("button", name="pauses.wav", exact=True).click()
        await wait_for_segments(page, *SENTENCES)


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
            await page.get_by_label("URL").fill(f"{url}/nothing.ogg")
            await page.get_by_label("URL").press("Enter")
            await page.get_by_role("alert").get_by_text("The address answers with status 404.").wait_for()
    async with open_page(browser, shell.url) as page:
        assert not await page.get_by_label("URL").is_visible()
