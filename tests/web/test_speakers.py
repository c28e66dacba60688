"""Segments name their speakers, whom the user can rename; the names are in the library and in downloads."""

import json
import re
import wave
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from playwright.async_api import Browser, Page, Playwright

from audio.clip import SAMPLE_RATE, ms_from_samples
from server.web.router import WEB
from tests import plain_http
from tests.diarization.spoken import SENTENCES, dialogue, needs_flite, network
from tests.server.job_requests import FINAL
from tests.server.server_process import Program, scripted
from tests.waiting import wait_until
from tests.web.browser import (
    TIMEOUT_MS,
    WAV,
    Modules,
    launch_chromium,
    microphone_flags,
    open_page,
    segment_texts,
    transcribe_file,
)
from tests.web.test_appearance import appearances, assert_accessible, violations
from tests.web.test_library import open_entry
from tests.web.test_live_recording import start, stop
from tests.web.test_transcript_tools import download

VOICES: Final = ("rms", "slt")

# The changes of a transcript and what it is afterwards. A step is a method and its arguments.
DRIVE = """
({ Transcript }, { facts, steps }) => {
  const log = [];
  const transcript = new Transcript({ kind: "file", title: "talk.wav", ...facts });
  const { speakers } = transcript;
  const idOf = (segment) => segment?.id ?? null;
  transcript.listeners.add((change, segment, next) => log.push([change, idOf(segment), idOf(next)]));
  for (const [name, ...values] of steps)
    if (name in transcript) transcript[name](...values);
    else speakers[name](...values);
  const segments = transcript.segments.map(({ id, startMs, endMs, words, speaker }) =>
    [id, startMs, endMs, words.map(({ text }) => text).join("").trim(), speaker]);
  const names = speakers.labels.map((label) => speakers.nameOf(label));
  const colours = speakers.labels.map((label) => speakers.colourOf(label));
  return { log, segments, stored: speakers.stored, names, colours };
}
"""


def final(id: str, text: str, start_ms: int, speaker: str | None = None, said: str = "") -> Sequence[Any]:
    """Return the step of a final whose words last a second each; said: the speaker of each word."""
    words = [
        {
            "text": word,
            "startMs": start_ms + 1000 * number,
            "endMs": start_ms + 1000 * (number + 1),
            "confidence": 1,
            "speaker": said[number] if said else speaker,
        }
        for number, word in enumerate(text.split())
    ]
    times = {"startMs": start_ms, "endMs": start_ms + 1000 * len(words)}
    return ["setFinal", {"id": id, "text": text, "words": words, "speaker": speaker, **times}]


def span(start_ms: int, end_ms: int, speaker: str) -> dict[str, Any]:
    return {"startMs": start_ms, "endMs": end_ms, "speaker": speaker}


async def drive(modules: Modules, *steps: Sequence[Any], **facts: Any) -> dict[str, Any]:
    found: dict[str, Any] = await modules.run("transcript", DRIVE, {"facts": facts, "steps": steps})
    return found


async def test_segment_is_split_where_the_speaker_changes(modules: Modules) -> None:
    found = await drive(
        modules,
        final("a", "one two three four", 0),
        final("b", "five six", 4000),
        ["setSpeakers", [span(0, 2000, "A"), span(2100, 3100, "B"), span(3100, 6000, "A")]],
    )
    assert found["segments"] == [
        ["a", 0, 2000, "one two", "A"],
        ["a/1", 2000, 3000, "three", "B"],
        ["a/2", 3000, 4000, "four", "A"],
        ["b", 4000, 6000, "five six", "A"],
    ]
    assert found["log"][-4:] == [
        ["finalized", "b", None],
        ["restored", "a/2", "b"],
        ["restored", "a/1", "a/2"],
        ["finalized", "a", None],
    ]


async def test_edited_text_keeps_its_words_when_speakers_come(modules: Modules) -> None:
    found = await drive(
        modules,
        final("a", "one two three", 0),
        ["edit", "a", "one really two three"],
        ["setSpeakers", [span(0, 1000, "A"), span(1000, 9000, "B")]],
        ["undo"],
    )
    assert [segment[3:] for segment in found["segments"]] == [["one", "A"], ["really two three", "B"]]


async def test_utterance_of_two_speakers_becomes_two_segments(modules: Modules) -> None:
    found = await drive(modules, final("a", "one two three", 0, "A", "AAB"), final("b", "four", 3000, "B"))
    assert [segment[3:] for segment in found["segments"]] == [["one two", "A"], ["three", "B"], ["four", "B"]]


async def test_speakers_of_a_final_are_corrected(modules: Modules) -> None:
    found = await drive(
        modules,
        final("a", "one two three", 0, "A", "AAB"),
        final("b", "four five", 3000, "B"),
        ["edit", "b", "forty five"],
        [
            "reviseSpeakers",
            {"id": "a", "spans": [span(0, 1000, "B"), span(1000, 2000, "A"), span(2000, 3000, "A")]},
        ],
        ["reviseSpeakers", {"id": "b", "spans": [span(0, 2**53 - 1, "A")]}],
    )
    assert [segment[3:] for segment in found["segments"]] == [
        ["one", "B"],
        ["two", "A"],
        ["three", "A"],
        ["forty five", "A"],
    ]
    assert len({segment[0] for segment in found["segments"]}) == 4


async def test_new_session_does_not_reuse_labels(modules: Modules) -> None:
    found = await drive(
        modules,
        final("a", "one", 0, "A"),
        ["beginSession"],
        final("b", "two", 1000, "A"),
        final("c", "three", 2000, "B"),
        kind="recording",
        speakers=[["A", "Ann"], ["B", ""]],
    )
    assert [segment[4] for segment in found["segments"]] == ["C", "D", "E"]
    assert found["names"] == ["Ann", "Speaker B", "Speaker C", "Speaker D", "Speaker E"]


async def test_labels_of_a_file_mean_the_same_speakers_after_a_reload(modules: Modules) -> None:
    found = await drive(modules, final("a", "one", 0, "B"), speakers=[["A", "Ann"], ["B", "Ben"]])
    assert (found["segments"][0][4], found["stored"]) == ("B", [["A", "Ann"], ["B", "Ben"]])


async def test_renamed_speaker_is_undone(modules: Modules) -> None:
    steps = [final("a", "one", 0, "A"), final("b", "two", 1000, "B"), ["rename", "B", "  Ann \n Lee "]]
    found = await drive(modules, *steps)
    assert (found["names"], found["log"][-1]) == (["Speaker A", "Ann Lee"], ["renamed", None, None])
    undone = await drive(modules, *steps, ["rename", "B", "Ann Lee"], ["undo"])
    assert undone["names"] == ["Speaker A", "Speaker B"]


async def test_speakers_of_one_name_have_one_colour(modules: Modules) -> None:
    steps = [final(name, name, 1000 * i, name) for i, name in enumerate("ABC")]
    assert (await drive(modules, *steps))["colours"] == [0, 1, 2]
    found = await drive(modules, *steps, ["rename", "C", "Speaker A"])
    assert (found["colours"], found["stored"][2]) == ([0, 1, 0], ["C", "Speaker A"])


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour #rrggbb, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


async def test_colours_of_speakers_have_contrast() -> None:
    light, dark = re.split(r"@media \(prefers-color-scheme: dark\)", (WEB / "style.css").read_text())[:2]
    for scheme in (light, dark):
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", scheme))
        for number in range(8):
            for ground in ("page", "card", "highlight"):
                pair = sorted(luminance(colours[name]) for name in (f"speaker-{number}", ground))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (number, ground)


STORE = """
({ entry, segments }) => new Promise((resolve) => {
  const request = indexedDB.open("stt-library", 1);
  request.onsuccess = () => {
    const transaction = request.result.transaction(["entries", "segments"], "readwrite");
    transaction.objectStore("entries").put(entry);
    for (const segment of segments)
      transaction.objectStore("segments").put({ transcript: entry.id, id: segment.id, segment });
    transaction.oncomplete = () => resolve(request.result.close());
  };
})
"""
TALK: Final = [("A", "hello there"), ("B", "good morning <you>"), ("A", "how are you")]


@asynccontextmanager
async def open_talk(browser: Browser, url: str, **context: Any) -> AsyncIterator[Page]:
    """Open the page with a transcript of two speakers, which its library has."""
    segments = [
        {
            "id": f"s{number}",
            "startMs": 5000 * number,
            "endMs": 5000 * number + 1000 * len(text.split()),
            "words": [
                {
                    "text": f"{word} ",
                    "startMs": 5000 * number + 1000 * i,
                    "endMs": 5000 * number + 1000 * (i + 1),
                    "confidence": 0.9,
                }
                for i, word in enumerate(text.split())
            ],
            "edited": False,
            "language": "en",
            "speaker": speaker,
        }
        for number, (speaker, text) in enumerate(TALK)
    ]
    entry = {"id": "talk", "title": "talk.wav", "kind": "file", "createdAt": 0, "language": "en"}
    entry |= {"endMs": 13_000, "rate": None, "job": None, "speakers": [["A", ""], ["B", ""]]}
    async with open_page(browser, url, **context) as page:
        await page.locator("#model option").first.wait_for(state="attached")
        await page.evaluate(STORE, {"entry": entry, "segments": segments})
        await page.reload()
        await open_entry(page, "talk.wav")
        await page.locator(".speaker").nth(2).wait_for()
        yield page


async def names(page: Page) -> list[str]:
    return await page.locator(".segment .speaker:visible").all_inner_texts()


async def rename(page: Page, number: int, name: str, key: str = "Enter") -> None:
    await page.locator(".segment .speaker").nth(number).click()
    await page.keyboard.insert_text(name) if name else await page.keyboard.press("Delete")
    await page.keyboard.press(key)


async def test_speaker_is_renamed_everywhere(browser: Browser, speech: Program, tmp_path: Path) -> None:
    async with open_talk(browser, speech.url) as page:
        assert await names(page) == ["Speaker A", "Speaker B", "Speaker A"]
        await rename(page, 2, "Ann")
        assert await names(page) == ["Ann", "Speaker B", "Ann"]
        assert await page.evaluate("document.activeElement.textContent") == "Ann", "the name keeps the focus"
        await rename(page, 1, "Ben", key="Escape")
        assert await names(page) == ["Ann", "Speaker B", "Ann"]
        await page.locator(".segment .speaker").nth(1).click()
        await page.keyboard.insert_text("Ben")
        await page.locator("h1").click()
        assert await names(page) == ["Ann", "Ben", "Ann"]
        await page.reload()
        await open_entry(page, "talk.wav")
        await page.locator(".speaker", has_text="Ben").wait_for()
        assert await names(page) == ["Ann", "Ben", "Ann"]
        await rename(page, 0, "")
        assert await names(page) == ["Speaker A", "Ben", "Speaker A"]
        await page.keyboard.press("Control+Z")
        assert await names(page) == ["Ann", "Ben", "Ann"]
        assert (await download(page, "TXT", tmp_path)).read_text() == (
            "Ann: hello there\nBen: good morning <you>\nAnn: how are you\n"
        )
        timed = (await download(page, "TXT with times", tmp_path)).read_text()
        assert timed.startswith("[0:00] Ann: hello there\n[0:05] Ben: ")
        srt, vtt = [(await download(page, name, tmp_path)).read_text() for name in ("SRT", "VTT")]
        assert srt.split("\n")[2] == "Ann: hello there"
        assert "<v Ben>good morning &lt;you&gt;\n" in vtt
        assert "**Ben** `00:00:05`" in (await download(page, "MD", tmp_path)).read_text()
        with zipfile.ZipFile(await download(page, "DOCX", tmp_path)) as archive:
            assert "Ben" in archive.read("word/document.xml").decode()
        content = json.loads((await download(page, "JSON", tmp_path)).read_text())
        assert [segment["speaker"] for segment in content["segments"]] == ["Ann", "Ben", "Ann"]
        assert content["speakers"] == [{"label": "A", "name": "Ann"}, {"label": "B", "name": "Ben"}]


async def test_speakers_have_no_accessibility_violations(browser: Browser, speech: Program) -> None:
    async with open_talk(browser, speech.url) as page:
        await assert_accessible(page)
        await page.locator(".segment .speaker").first.click()
        async for appearance in appearances(page):
            assert await violations(page) == [], appearance
            assert await page.evaluate("document.documentElement.scrollWidth === innerWidth"), appearance


async def test_choice_is_offered_only_where_the_server_can(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url) as page:
        await page.locator("#recognition-options > summary").click()
        assert await page.get_by_label("Translate to English").is_visible()
        assert not await page.get_by_label("Tell speakers apart").is_visible()


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wav file of two voices that take turns, with a script for tests/scripted.py."""
    said = SENTENCES[:4]
    samples, spans = dialogue(VOICES, said)
    path = tmp_path_factory.mktemp("talk") / "dialogue.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((samples * 32_767).astype(np.int16).tobytes())
    script = [
        (ms_from_samples(span.start), ms_from_samples(span.end), text)
        for span, text in zip(spans, said, strict=True)
    ]
    path.with_suffix(".json").write_text(json.dumps(script))
    return path


@pytest.fixture(scope="module")
def diarizing(talk: Path) -> Iterator[Program]:
    """A server that knows the words of the dialogue, really distinguishes its speakers, and keeps jobs.

    Its first job is the dialogue and has ended, so the networks are loaded before a test waits for the page.
    """
    network()  # skips the test where there are no weights
    with scripted(DIARIZE="true", SCRIPTED_WAV=str(talk)) as running:
        assert running.ready()["ready"], running.log
        file = {"file": (talk.name, talk.read_bytes())}
        job = plain_http.post(
            f"{running.url}/v1/jobs", files=file, data={"diarize": "true"}, timeout=60
        ).json()
        wait_until(lambda: running.get(f"/v1/jobs/{job['id']}").json()["status"] in FINAL, 200)
        yield running


async def turns(page: Page) -> list[str]:
    """Return the speakers in turn; segments that follow one another are one turn."""
    return [name for name, _ in groupby(await names(page))]


async def choose_speakers(page: Page) -> None:
    page.set_default_timeout(2 * TIMEOUT_MS)  # A file is heard twice.
    await page.locator("#recognition-options > summary").click()
    await page.get_by_label("Tell speakers apart").check()


@needs_flite
async def test_job_names_speakers_and_keeps_edits(browser: Browser, diarizing: Program, talk: Path) -> None:
    async with open_page(browser, diarizing.url) as page:
        await choose_speakers(page)
        await transcribe_file(page, talk)
        assert await turns(page) == ["Speaker A", "Speaker B", "Speaker A", "Speaker B"]
        before = await segment_texts(page)
        await rename(page, 0, "Ann")
        await page.reload()
        assert await page.locator("#diarize").is_checked(), "the choice is remembered"
        await open_entry(page, "dialogue.wav")
        await page.locator(".speaker", has_text="Ann").first.wait_for()
        assert await turns(page) == ["Ann", "Speaker B", "Ann", "Speaker B"]
        assert await segment_texts(page) == before


FOLLOW = """
async (job) => {
  const script = document.querySelector("script[src]").src;
  const { FileJob } = await import(script.replace("app.js", "file_job.js"));
  const events = [];
  await new Promise((resolve) => {
    const onEvent = (event) => {
      events.push(event);
      if (["ended", "failed"].includes(event.type)) resolve();
    };
    new FileJob(new URL("v1/jobs", location).href, { headers: {}, onEvent }).follow(job);
  });
  return events;
}
"""


@needs_flite
async def test_job_that_ended_while_the_page_was_closed_repeats_no_text(
    browser: Browser, diarizing: Program
) -> None:
    job = diarizing.get("/v1/jobs").json()["data"][-1]  # that of the fixture
    segments = diarizing.get(f"/v1/jobs/{job['id']}/transcript").json()["segments"]
    assert len(segments) >= 4
    # The page has the first two, which were three before their speakers were known.
    received = {"received": 3, "receivedMs": round(segments[1]["end"] * 1000), "offsetMs": 0}
    async with open_page(browser, diarizing.url) as page:
        events = await page.evaluate(FOLLOW, {"id": job["id"], "hasSpeakers": True, **received})
    later = [event for event in events if event["type"] == "segment"]
    assert [event["text"] for event in later] == [segment["text"] for segment in segments[2:]]
    assert later[0]["id"] == "job-3"
    assert [event["type"] for event in events[-2:]] == ["speakers", "ended"]
    assert [each["speaker"] for each in events[-2]["spans"]] == [segment["speaker"] for segment in segments]


@needs_flite
async def test_file_without_a_job_names_speakers(browser: Browser, diarizing: Program, talk: Path) -> None:
    async with open_page(browser, diarizing.url) as page:
        await choose_speakers(page)
        await page.locator("#exactness").select_option("fast")
        await transcribe_file(page, talk)
        assert await turns(page) == ["Speaker A", "Speaker B", "Speaker A", "Speaker B"]


@needs_flite
async def test_live_recording_names_speakers(chromium: Playwright, diarizing: Program, talk: Path) -> None:
    async with (
        launch_chromium(chromium, *microphone_flags(talk)) as browser,
        open_page(browser, diarizing.url) as page,
    ):
        await choose_speakers(page)
        await start(page)
        await page.locator(".speaker", has_text="Speaker B").first.wait_for()
        await stop(page)
        assert (await turns(page))[:2] == ["Speaker A", "Speaker B"]
        assert set(await turns(page)) == {"Speaker A", "Speaker B"}


async def test_file_without_the_choice_has_no_speakers(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url) as page:
        await transcribe_file(page, WAV)
        assert await names(page) == []
