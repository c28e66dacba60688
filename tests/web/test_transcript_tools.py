"""The transcript can be searched, edited, played and exported."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.server.server_process import Program
from tests.web.browser import SENTENCES, WAV, open_page, segment_texts, transcribe_file, wait_for_state


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def page(browser: Browser, speech: Program) -> AsyncIterator[Page]:
    """The page with the transcript of test.wav. Tests restore the text after edits."""
    async with open_page(browser, speech.url, permissions=["clipboard-read", "clipboard-write"]) as page:
        await transcribe_file(page, WAV)
        yield page


async def download(page: Page, name: str, folder: Path) -> Path:
    async with page.expect_download() as info:
        await page.get_by_role("button", name=name, exact=True).click()
    file = await info.value
    await file.save_as(folder / file.suggested_filename)
    return folder / file.suggested_filename


def cues(path: Path) -> list[tuple[float, float, str]]:
    """Return start and end, in seconds, and text of each cue as FFmpeg parses them."""
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        assert stream.time_base is not None
        found = []
        for packet in container.demux(stream):
            if packet.size:
                assert packet.pts is not None
                assert packet.duration is not None
                start = float(packet.pts * stream.time_base)
                length = float(packet.duration * stream.time_base)
                found.append((start, start + length, bytes(packet).decode().replace("\n", " ")))
        return found


async def test_srt_and_vtt_can_be_parsed(page: Page, tmp_path: Path) -> None:
    srt, vtt = [cues(await download(page, name, tmp_path)) for name in ("SRT", "VTT")]
    assert srt == vtt
    assert " ".join(text for _, _, text in srt) == " ".join(SENTENCES)
    times = [time for start, end, _ in srt for time in (start, end)]
    assert times == sorted(times)
    assert 10 < times[-1] < 12
    assert (tmp_path / "test.vtt").read_text().startswith("WEBVTT\n\n")


async def test_txt_has_one_line_per_segment(page: Page, tmp_path: Path) -> None:
    assert (await download(page, "TXT", tmp_path)).read_text() == "".join(f"{each}\n" for each in SENTENCES)


async def test_txt_can_have_times(page: Page, tmp_path: Path) -> None:
    lines = (await download(page, "TXT with times", tmp_path)).read_text().splitlines()
    assert [line.split("] ")[1] for line in lines] == SENTENCES
    assert lines[0].startswith("[0:00] ")
    assert lines[2].startswith("[0:07] ") or lines[2].startswith("[0:08] ")


async def test_json_has_words_with_times(page: Page, tmp_path: Path) -> None:
    content = json.loads((await download(page, "JSON", tmp_path)).read_text())
    assert [segment["text"] for segment in content["segments"]] == SENTENCES
    words = [word for segment in content["segments"] for word in segment["words"]]
    assert [word["word"] for word in words] == " ".join(SENTENCES).split()
    assert all(word["start"] < word["end"] and 0 <= word["confidence"] <= 1 for word in words)


async def test_the_text_can_be_copied(page: Page) -> None:
    await page.get_by_role("button", name="Copy").click()
    await page.get_by_role("button", name="Copied").wait_for()
    await wait_for_state(page, "() => document.querySelector('#announcer').textContent === 'Copied.'")
    assert await page.evaluate("navigator.clipboard.readText()") == "".join(f"{each}\n" for each in SENTENCES)


async def test_clicked_word_is_played(page: Page) -> None:
    await page.locator(".word", has_text="river").click()
    await wait_for_state(page, "() => !media.paused && media.currentTime > 8")
    await page.locator(".word.playing").wait_for()
    await page.get_by_role("button", name="Play from 0:03").click()
    await wait_for_state(page, "() => media.currentTime > 3 && media.currentTime < 6")
    await page.evaluate("media.pause()")


async def test_word_is_played_by_keyboard(page: Page) -> None:
    await page.locator(".segment .text").last.focus()
    for _ in range(3):
        await page.keyboard.press("ArrowRight")
    assert (await page.locator(".selected").inner_text()).strip() == "along"
    await page.keyboard.press("Enter")
    await wait_for_state(page, "() => !media.paused && media.currentTime > 8")
    await page.evaluate("media.pause()")


async def test_search_steps_through_matches(page: Page) -> None:
    search = page.get_by_role("searchbox", name="Search the transcript")
    await search.fill("THE")
    assert await page.locator("#found").inner_text() == "1 of 5"
    assert await page.locator(".match").count() == 5
    await search.press("Enter")
    assert await page.locator("#found").inner_text() == "2 of 5"
    await search.press("Shift+Enter")
    await page.get_by_role("button", name="Previous match").click()
    assert await page.locator("#found").inner_text() == "5 of 5"
    await search.fill("the sun went")
    assert await page.locator(".match").all_inner_texts() == ["the", "sun", "went"]
    await search.fill("moon")
    assert await page.locator("#found").inner_text() == "No matches"
    await search.press("Escape")
    assert await page.locator(".match").count() == 0


async def test_text_can_be_edited(page: Page, tmp_path: Path) -> None:
    text = page.locator(".segment .text").first
    before = json.loads((await download(page, "JSON", tmp_path)).read_text())["segments"][0]["words"]
    await text.focus()
    await page.keyboard.press("F2")
    for _ in range(len("program")):
        await page.keyboard.press("Backspace")
    await page.keyboard.type("evening <b>show</b>")
    await page.keyboard.press("Enter")
    expected = "good morning and welcome to the evening <b>show</b>"
    assert (await segment_texts(page))[0] == expected
    assert await page.locator(".segment b").count() == 0
    content = json.loads((await download(page, "JSON", tmp_path)).read_text())["segments"][0]
    assert (content["text"], content["edited"]) == (expected, True)
    assert content["words"][:6] == before[:6], "unchanged words keep their times"
    assert all(before[5]["end"] <= word["start"] <= word["end"] for word in content["words"][6:])
    assert "&lt;b&gt;show" in (await download(page, "VTT", tmp_path)).read_text()
    assert "evening \\<b\\>show" in (await download(page, "MD", tmp_path)).read_text()
    await text.dblclick()
    await page.keyboard.press("Control+A")
    await page.keyboard.type(SENTENCES[0])
    await page.locator("h1").click()
    assert await segment_texts(page) == SENTENCES


async def test_edit_can_be_cancelled(page: Page) -> None:
    await page.locator(".segment").first.hover()
    await page.get_by_role("button", name="Edit").first.click()
    await page.keyboard.type("something else")
    await page.keyboard.press("Escape")
    assert await segment_texts(page) == SENTENCES


async def test_edit_is_undone_and_keeps_the_focus(page: Page) -> None:
    text = page.locator(".segment .text").nth(1)
    for removed in ("something else", ""):
        await text.focus()
        await page.keyboard.press("F2")
        await page.keyboard.press("Control+A")
        await page.keyboard.insert_text(removed) if removed else await page.keyboard.press("Delete")
        await page.keyboard.press("Enter")
        assert await segment_texts(page) != SENTENCES
        assert await page.evaluate("document.activeElement.className") == "text"
        if removed:
            await page.get_by_role("button", name="Undo").click()
        else:
            await page.keyboard.press("Control+Z")
        assert await segment_texts(page) == SENTENCES


async def test_search_crosses_segments(page: Page) -> None:
    search = page.get_by_role("searchbox", name="Search the transcript")
    await search.fill("program she")
    assert await page.locator("#found").inner_text() == "1 of 1"
    assert await page.locator(".match.current").all_inner_texts() == ["program", "she"]
    await search.press("Escape")


async def test_words_with_low_confidence_are_marked(page: Page, tmp_path: Path) -> None:
    content = json.loads((await download(page, "JSON", tmp_path)).read_text())
    words = [word for segment in content["segments"] for word in segment["words"]]
    unsure = [word["word"] for word in words if word["confidence"] is not None and word["confidence"] < 0.4]
    assert "to" in unsure
    marked = [text.strip() for text in await page.locator(".low-confidence").all_inner_texts()]
    assert marked == unsure
