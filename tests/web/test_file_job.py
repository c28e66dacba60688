"""Files become jobs on a server that keeps jobs. The page finds them again after a reload."""

from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, Request

from tests import plain_http
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
from tests.web.media_files import make_file, make_file_with_pauses
from tests.web.test_file_panel import serve_folder, write_bad_file
from tests.web.test_library import COUNTS, open_entry


def jobs_of(server: Program) -> list[dict[str, Any]]:
    """Return the jobs of a server, the newest first."""
    found: list[dict[str, Any]] = server.get("/v1/jobs").json()["data"]
    return found


def posts_of(page: Page) -> list[Request]:
    """Return the list of POST requests, which grows with each one that the page sends."""
    sent: list[Request] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            sent.append(request)

    page.on("request", note)
    return sent


async def begin(page: Page, file: Path) -> None:
    await choose_file(page, file)
    await page.get_by_role("button", name="Transcribe").click()


async def begin_held_file(page: Page, folder: Path, hold: Hold) -> list[str]:
    """Begin a file of two parts, and return the two texts of the first one. The second part is held."""
    hold.at(SENTENCES[2])
    await begin(page, make_file_with_pauses(folder, seconds=60))
    await page.locator(".segment").nth(1).wait_for()
    texts = await segment_texts(page)
    assert len(texts) == 2
    return texts


async def test_file_becomes_a_job(browser: Browser, with_jobs: Program) -> None:
    async with open_page(browser, with_jobs.url) as page:
        sent = posts_of(page)
        await transcribe_file(page, WAV)
        assert await segment_texts(page) == SENTENCES
        assert [request.url for request in sent] == [f"{with_jobs.url}/v1/jobs"]
        assert sent[0].headers["idempotency-key"]
        await page.get_by_role("button", name="Play from 0:03").click()
        await page.reload()
        await open_entry(page, "test.wav")
        facts = await page.locator("#library-list .facts").inner_text()
        assert "English" in facts
        assert "Transcribing" not in facts, "the job has ended"
    assert jobs_of(with_jobs)[0]["status"] == "succeeded"


async def test_times_of_a_part_are_those_of_the_file(browser: Browser, with_jobs: Program) -> None:
    async with open_page(browser, with_jobs.url) as page:
        await choose_file(page, WAV)
        await page.get_by_label("From").fill("0:03.6")
        await page.get_by_label("to", exact=True).fill("7.6")
        await page.get_by_label("to", exact=True).press("Tab")
        await page.get_by_role("button", name="Transcribe").click()
        await wait_for_segments(page, SENTENCES[1])
        assert await page.locator(".segment .time").inner_text() in ("0:03", "0:04")


async def test_url_becomes_a_job(browser: Browser, with_jobs: Program, tmp_path: Path) -> None:
    name = make_file(tmp_path, "ogg").name
    with serve_folder(tmp_path) as url:
        async with open_page(browser, with_jobs.url) as page:
            await page.get_by_label("URL").fill(f"{url}/{name}")
            await page.get_by_label("URL").press("Enter")
            await wait_for_segments(page, SENTENCES[0])
            await page.get_by_role("button", name="Close").click()
            await page.get_by_label("URL").fill(f"{url}/nothing.ogg")
            await page.get_by_label("URL").press("Enter")
            await page.get_by_role("alert").get_by_text("404").wait_for()
    assert [job["source"]["url"] for job in jobs_of(with_jobs)[:2]] == [f"{url}/nothing.ogg", f"{url}/{name}"]


async def test_job_that_fails_says_why_and_is_not_listed(
    browser: Browser, with_jobs: Program, tmp_path: Path
) -> None:
    async with open_page(browser, with_jobs.url) as page:
        await begin(page, write_bad_file(tmp_path, "mute"))
        await page.get_by_role("alert").get_by_text("no audio").wait_for()
        await wait_for_state(page, "() => document.querySelector('#library').hidden")
        await wait_for_state(page, f"async () => JSON.stringify(await ({COUNTS})()) === '[0,0,0]'")


async def test_fast_text_does_not_become_a_job(browser: Browser, with_jobs: Program) -> None:
    async with open_page(browser, with_jobs.url) as page:
        sent = posts_of(page)
        await page.locator("#recognition-options > summary").click()
        await page.locator("#exactness").select_option("fast")
        await transcribe_file(page, WAV)
    assert [request.url for request in sent] == [f"{with_jobs.url}/v1/audio/transcriptions"]


async def test_reload_finds_the_job_again(
    browser: Browser, with_jobs: Program, hold: Hold, tmp_path: Path
) -> None:
    dialogs: list[str] = []
    async with open_page(browser, with_jobs.url) as page:
        page.on("dialog", lambda dialog: dialogs.append(dialog.type))
        texts = await begin_held_file(page, tmp_path, hold)
        text = page.locator(".segment .text").first
        await text.dblclick()
        await page.keyboard.press("Control+A")
        await page.keyboard.insert_text("edited text")
        await page.keyboard.press("Enter")
        await page.reload()
        await wait_for_segments(page, "edited text", texts[1])
        assert "pauses.wav" in await page.locator("#queue-list").inner_text()
        hold.release()
        await wait_for_segments(page, "edited text", texts[1], SENTENCES[2])
        await wait_for_state(page, "() => announcer.textContent.includes('complete')")
        await page.reload()
        await open_entry(page, "pauses.wav")
        await wait_for_segments(page, "edited text", texts[1], SENTENCES[2])
        assert not await page.locator("#queue").is_visible()
    assert dialogs == [], "nothing is lost by a reload"


async def test_reload_finds_a_job_without_text(browser: Browser, with_jobs: Program, hold: Hold) -> None:
    hold.at("")
    async with open_page(browser, with_jobs.url) as page:
        await choose_file(page, WAV)
        async with page.expect_response(lambda response: "/events" in response.url):
            await page.get_by_role("button", name="Transcribe").click()
        assert await segment_texts(page) == []
        await page.reload()
        await page.locator("#queue-list .name", has_text="test.wav").wait_for()
        hold.release()
        await wait_for_segments(page, *SENTENCES)
        await page.get_by_role("button", name="Play from 0:03").click()
        await wait_for_state(page, "() => media.currentTime > 3 && !media.paused")


async def test_cancel_cancels_the_job(
    browser: Browser, with_jobs: Program, hold: Hold, tmp_path: Path
) -> None:
    async with open_page(browser, with_jobs.url) as page:
        texts = await begin_held_file(page, tmp_path, hold)
        await page.locator("#cancel").click()
        await page.locator("#transcribe:enabled").wait_for()
        await wait_for_state(page, "() => announcer.textContent === 'Cancelled.'")
        assert jobs_of(with_jobs)[0]["status"] == "cancelled"
        assert await segment_texts(page) == texts, "what has arrived stays"
        await page.reload()
        await open_entry(page, "pauses.wav")
        await wait_for_segments(page, *texts)
        assert not await page.locator("#queue").is_visible()


async def test_deleted_transcript_cancels_its_job(
    browser: Browser, with_jobs: Program, hold: Hold, tmp_path: Path
) -> None:
    async with open_page(browser, with_jobs.url) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        await begin_held_file(page, tmp_path, hold)
        await page.get_by_role("button", name="Delete", exact=True).click()
        await wait_for_state(page, "() => announcer.textContent === 'Cancelled.'")
        assert jobs_of(with_jobs)[0]["status"] == "cancelled"
        assert await page.evaluate(COUNTS) == [0, 0, 0]


async def test_job_that_is_gone_is_named_and_its_text_stays(
    browser: Browser, with_jobs: Program, hold: Hold, tmp_path: Path
) -> None:
    async with open_page(browser, with_jobs.url, allowed_errors="404") as page:
        texts = await begin_held_file(page, tmp_path, hold)
        job = jobs_of(with_jobs)[0]["id"]
        await page.goto("about:blank")
        for _ in range(2):  # cancels, then deletes, as the end of the retention does
            plain_http.request("DELETE", f"{with_jobs.url}/v1/jobs/{job}", timeout=30)
        await page.goto(with_jobs.url)
        await page.get_by_role("alert").get_by_text("The server has this job no more").wait_for()
        await wait_for_segments(page, *texts)
        await page.reload()
        await open_entry(page, "pauses.wav")
        await wait_for_segments(page, *texts)
        assert not await page.get_by_role("alert").is_visible()


async def test_job_goes_on_after_a_restart_of_the_server(
    browser: Browser, tmp_path: Path, hold: Hold
) -> None:
    settings = {**hold.settings, "ASR_BATCH_ITEMS": "1", "DATA_DIR": str(tmp_path / "data")}
    with scripted(**settings) as first:
        assert first.ready()["ready"], first.log
        async with open_page(browser, first.url, allowed_errors="Failed to load") as page:
            texts = await begin_held_file(page, tmp_path, hold)
            kill(first.process.pid)
            await page.get_by_text("The server cannot be reached. Trying again…").first.wait_for()
            hold.release()
            with scripted(**settings, PORT=first.url.rpartition(":")[2]):
                await wait_for_segments(page, *texts, SENTENCES[2])
                await wait_for_state(page, "() => announcer.textContent.includes('complete')")


DRIVE = """
async ({ FileJob }, { url, content }) => {
  const events = [];
  const file = new File([content], "speech.wav");
  await new Promise((resolve) => {
    const job = new FileJob(url, {
      headers: {},
      onEvent: (event) => {
        events.push(event.type);
        if (["ended", "failed", "cancelled", "disabled"].includes(event.type)) resolve();
      },
    });
    job.submit("a-key", { model: "default", file }, 0);
  });
  return events;
}
"""


async def test_server_without_jobs_is_told_apart(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url, allowed_errors="404") as page:
        events = await page.evaluate(
            f"""async (given) => {{
                const module = document.querySelector("script[src]").src.replace("app.js", "file_job.js");
                return ({DRIVE})(await import(module), given);
            }}""",
            {"url": "/v1/jobs", "content": "text"},
        )
    assert [each for each in events if each != "progress"] == ["disabled"]


async def test_old_page_transcribes_on_a_server_without_jobs(browser: Browser, speech: Program) -> None:
    seen = "new MutationObserver(() => document.body && (document.body.dataset.jobs = 'true'))"
    script = f"{seen}.observe(document, {{ childList: true, subtree: true }});"
    async with open_page(browser, speech.url, allowed_errors="404", script=script) as page:
        await transcribe_file(page, WAV)
        assert await segment_texts(page) == SENTENCES
        assert await page.evaluate(COUNTS) == [1, len(SENTENCES), 1]


SUBMIT_TWICE = """
async (text) => {
  const script = document.querySelector("script[src]").src;
  const { FileJob } = await import(script.replace("app.js", "file_job.js"));
  const ids = [];
  for (let attempt = 0; attempt < 2; attempt += 1)
    await new Promise((resolve) => {
      const onEvent = ({ type, job }) => {
        if (type === "accepted") ids.push(job.id);
        if (type === "accepted" || type === "failed") resolve();
      };
      const file = new File([text], "a.wav");
      new FileJob("/v1/jobs", { headers: {}, onEvent }).submit("a-key", { file }, 0);
    });
  return ids;
}
"""


async def test_repeated_submission_is_one_job(browser: Browser, with_jobs: Program) -> None:
    async with open_page(browser, with_jobs.url) as page:
        first, second = await page.evaluate(SUBMIT_TWICE, "text")
    assert first == second
