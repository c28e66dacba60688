"""Edited subtitles are loaded back in the place of a transcript."""

import json
import re
from pathlib import Path

from playwright.async_api import Browser, Page

from tests.server.server_process import Program
from tests.web.browser import (
    SENTENCES,
    WAV,
    Modules,
    open_page,
    segment_texts,
    transcribe_file,
    wait_for_segments,
)
from tests.web.test_library import open_entry
from tests.web.test_speakers import drive, final
from tests.web.test_transcript_tools import download


async def load(page: Page, file: Path) -> None:
    await page.set_input_files("#subtitles", file)


async def test_edited_subtitles_replace_the_text_and_are_undone(
    browser: Browser, speech: Program, tmp_path: Path
) -> None:
    async with open_page(browser, speech.url) as page:
        await transcribe_file(page, WAV)
        srt = (await download(page, "SRT", tmp_path)).read_text()
        before = json.loads((await download(page, "JSON", tmp_path)).read_text())["segments"][0]["words"]
        edited = tmp_path / "edited.srt"
        edited.write_text(srt.replace("morning", "<i>evening</i>"))
        texts = [" ".join(block.split("\n")[2:]) for block in edited.read_text().strip().split("\n\n")]
        expected = [re.sub("</?i>", "", text) for text in texts]
        await load(page, edited)
        await wait_for_segments(page, *expected)
        after = json.loads((await download(page, "JSON", tmp_path)).read_text())["segments"][0]["words"]
        assert (after[0], after[1]["word"]) == (before[0], "evening")
        await page.reload()
        await open_entry(page, "test.wav")
        await wait_for_segments(page, *expected)
        await load(page, tmp_path / "test.srt")
        await page.get_by_role("button", name="Undo").click()
        await wait_for_segments(page, *expected)


async def test_bad_subtitles_are_named_and_change_nothing(
    browser: Browser, speech: Program, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.srt"
    bad.write_text("1\n00:00:01,000 -> 00:00:02,000\nHello.\n")
    async with open_page(browser, speech.url, allowed_errors="400") as page:
        assert await page.locator("#import").is_disabled()
        await transcribe_file(page, WAV)
        await load(page, bad)
        await page.locator("#error", has_text="line 2: ").wait_for()
        assert await segment_texts(page) == SENTENCES
        assert not await page.locator("#undo").is_visible()


async def test_speakers_of_subtitles_are_kept(modules: Modules) -> None:
    steps = [
        final("a", "one two", 0, "A"),
        final("b", "three", 2000, "B"),
        ["rename", "A", "Ann"],
        [
            "importSubtitles",
            [
                {"startMs": 0, "endMs": 900, "text": "one", "speaker": "Carl"},
                {"startMs": 900, "endMs": 2000, "text": "two", "speaker": "Ann"},
                {"startMs": 2000, "endMs": 3000, "text": "tree", "speaker": None},
            ],
        ],
    ]
    found = await drive(modules, *steps)
    assert [each[1:] for each in found["segments"]] == [
        [0, 900, "one", "C"],
        [900, 2000, "two", "A"],
        [2000, 3000, "tree", "B"],
    ]
    assert found["names"] == ["Ann", "Speaker B", "Carl"]
    undone = await drive(modules, *steps, ["undo"])
    assert [each[3] for each in undone["segments"]] == ["one two", "three"]
    assert undone["names"] == ["Ann", "Speaker B"]
