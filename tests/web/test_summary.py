"""A finished transcript is summarized on the page; the summary is stored with it and part of downloads."""

import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, Page

from tests.postprocessing.chat_server import Answer, ChatServer, Request, chat_server, says
from tests.server.server_process import Program, scripted
from tests.waiting import until
from tests.web.browser import WAV, open_page, segment_texts, transcribe_file, wait_for_state
from tests.web.test_library import open_entry
from tests.web.test_speakers import STORE
from tests.web.test_transcript_tools import download

WRITTEN: Final = "A morning show <b>begins</b>."
CHAPTERS: Final = "0:00:00 Greetings\n0:02:00 The <b>budget</b>"

# All texts that the summary has had.
OBSERVE: Final = """
() => {
  window.texts = [];
  new MutationObserver((records) =>
    texts.push(...records.flatMap(({ addedNodes }) => [...addedNodes].map((node) => node.textContent)))
  ).observe(document.querySelector("#summary-text"), { childList: true });
}
"""


class Model:
    """Be the endpoint; a test can hold its answer."""

    def __init__(self) -> None:
        self.answer: Answer = says(WRITTEN)
        self.released = threading.Event()

    def __call__(self, request: Request) -> Answer:
        self.released.wait(60)
        divides = "into chapters" in request["messages"][0]["content"]
        return says(CHAPTERS) if divides else self.answer


@pytest.fixture(scope="module")
def held() -> Model:
    return Model()


@pytest.fixture
def model(held: Model) -> Iterator[Model]:
    held.answer = says(WRITTEN)
    held.released.set()
    yield held
    held.released.set()


@pytest.fixture(scope="module")
def endpoint(held: Model) -> Iterator[ChatServer]:
    with chat_server(held) as served:
        yield served


@pytest.fixture(scope="module")
def modelled(endpoint: ChatServer) -> Iterator[Program]:
    with scripted(DATA_DIR="", SUMMARY_URL=endpoint.url, SUMMARY_MODEL="small") as running:
        assert running.ready()["ready"], running.log
        yield running


async def summarize(page: Page) -> None:
    await page.get_by_role("button", name="Summarize").click()


async def complete(page: Page, text: str) -> None:
    await wait_for_state(
        page,
        "text => document.querySelector('#summary-text').textContent === text"
        " && document.querySelector('#summary').ariaBusy === 'false'",
        text,
    )


async def test_summary_grows_and_names_its_model(browser: Browser, modelled: Program, model: Model) -> None:
    async with open_page(browser, modelled.url) as page:
        assert await page.get_by_role("button", name="Summarize").is_disabled()
        await transcribe_file(page, WAV)
        await page.evaluate(OBSERVE)
        await summarize(page)
        await complete(page, WRITTEN)
        texts = await page.evaluate("texts")
        note = await page.locator("#summary-note").inner_text()
        assert await page.locator("#summary b").count() == 0
    assert texts == sorted(texts, key=len)
    assert len(texts) > 3
    assert all(WRITTEN.startswith(text) for text in texts)
    assert note == "Written by small."


async def test_summary_is_stored_and_downloaded(
    browser: Browser, modelled: Program, model: Model, tmp_path: Path
) -> None:
    async with open_page(browser, modelled.url) as page:
        await transcribe_file(page, WAV)
        await summarize(page)
        await complete(page, WRITTEN)
        await page.reload()
        await open_entry(page, "test.wav")
        await complete(page, WRITTEN)
        content = json.loads((await download(page, "JSON", tmp_path)).read_text())
        markdown = (await download(page, "MD", tmp_path)).read_text()
        with zipfile.ZipFile(await download(page, "DOCX", tmp_path)) as archive:
            document = archive.read("word/document.xml").decode()
        await page.locator("#summary-remove").click()
        assert not await page.locator("#summary").is_visible()
        without = (await download(page, "MD", tmp_path)).read_text()
    assert content["summary"] == {"text": WRITTEN, "method": "model", "model": "small"}
    assert "## Summary\n\nA morning show \\<b\\>begins\\</b\\>.\n" in markdown
    assert "A morning show &lt;b&gt;begins" in document
    assert "Summary" not in without


async def test_summary_can_be_cancelled(
    browser: Browser, modelled: Program, model: Model, endpoint: ChatServer
) -> None:
    model.released.clear()
    async with open_page(browser, modelled.url) as page:
        await transcribe_file(page, WAV)
        texts = await segment_texts(page)
        asked = len(endpoint.requests)
        await summarize(page)
        await until(lambda: len(endpoint.requests) > asked)
        assert await page.locator("#summary-note").inner_text() == "The summary is being written…"
        await page.locator("#summary-cancel").click()
        await page.locator("#summarize:enabled").wait_for()
        assert not await page.locator("#summary").is_visible()
        assert not await page.locator("#error").is_visible()
        assert await segment_texts(page) == texts
        model.released.set()
        await summarize(page)
        await complete(page, WRITTEN)


async def test_failed_model_is_named(browser: Browser, modelled: Program, model: Model) -> None:
    model.answer = (500, b"")
    async with open_page(browser, modelled.url) as page:
        await transcribe_file(page, WAV)
        await summarize(page)
        await page.get_by_text(
            "The model could not be used: the endpoint answered with status 500."
        ).wait_for()
        assert await page.locator("#summary-text").inner_text() in await segment_texts(page)


async def test_summary_without_a_model_is_marked(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url) as page:
        await transcribe_file(page, WAV)
        await summarize(page)
        await page.get_by_text("Sentences of the transcript, chosen without a language model.").wait_for()
        assert await page.locator("#summary-text").inner_text() in await segment_texts(page)


async def test_chapters_are_listed_and_lead_to_their_text(
    browser: Browser, modelled: Program, model: Model, tmp_path: Path
) -> None:
    facts = {"title": "long.wav", "kind": "file", "createdAt": 0, "language": "en", "endMs": 0}
    entry = {"id": "long", **facts, "rate": None, "job": None, "speakers": []}
    segments: list[dict[str, object]] = [
        {"id": f"s{i}", "startMs": 5_000 * i, "endMs": 5_000 * i + 4_000, "edited": False, "speaker": None}
        for i in range(40)
    ]
    for number, segment in enumerate(segments):
        word = {"text": f"Line{number}.", "startMs": segment["startMs"], "endMs": segment["endMs"]}
        segment["words"] = [word | {"confidence": None}]
    async with open_page(browser, modelled.url) as page:
        await page.evaluate(STORE, {"entry": entry, "segments": segments})
        await page.reload()
        await open_entry(page, "long.wav")
        await summarize(page)
        chapter = page.locator("#summary-chapters button")
        await chapter.nth(1).wait_for()
        assert await chapter.all_inner_texts() == ["0:00 Greetings", "2:00 The <b>budget</b>"]
        await chapter.nth(1).click()
        await wait_for_state(
            page,
            "() => { const { top } = document.querySelector('[data-id=s24]').getBoundingClientRect();"
            " return top >= 0 && top < innerHeight; }",
        )
        content = json.loads((await download(page, "JSON", tmp_path)).read_text())
        markdown = (await download(page, "MD", tmp_path)).read_text()
    assert content["chapters"]["model"] == "small"
    assert content["chapters"]["items"][1] == {"start": 120, "title": "The <b>budget</b>"}
    assert markdown.index("Line23") < markdown.index("## The \\<b\\>budget") < markdown.index("Line24")
