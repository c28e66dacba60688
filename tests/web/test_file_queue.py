"""Several files wait in a queue, with the state of each, and each gets a transcript of its own."""

import base64
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from tests.server.server_process import Program
from tests.web.browser import SENTENCES, Modules, open_page, segment_texts, wait_for_segments
from tests.web.media_files import make_file, make_file_with_pauses

DRIVE = """
({ FileQueue, MAX_ENTRIES }, steps) => {
  const log = [];
  const started = [];
  const transcribe = (entry, onEvent) => {
    started.push({ entry, onEvent });
    log.push(`start ${entry.name}`);
    return { cancel: () => onEvent({ type: "cancelled" }) };
  };
  const queue = new FileQueue(transcribe, (entry) => log.push(`${entry.name} ${entry.state}`));
  const entry = (name) => queue.entries.find((each) => each.name === name);
  const actions = {
    add: (name) => queue.add({ name, source: { file: {}, startMs: 0, endMs: 1000 } }),
    event: (event) => started.at(-1).onEvent(event),
    cancel: (name) => queue.cancel(entry(name)),
    retry: (name) => queue.retry(entry(name)),
    remove: (name) => queue.remove(entry(name)),
  };
  for (const [name, argument] of steps) actions[name](argument);
  return { log, left: queue.entries.map(({ name }) => name), isBusy: queue.isBusy };
}
"""


async def drive(modules: Modules, *steps: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = await modules.run("file_queue", DRIVE, steps)
    return found


async def test_one_entry_is_worked_on_at_a_time(modules: Modules) -> None:
    done = ["event", {"type": "ended"}]
    found = await drive(modules, ["add", "a"], ["add", "b"], done, done)
    assert [each for each in found["log"] if each.startswith("start")] == ["start a", "start b"]
    assert found["log"].index("a done") < found["log"].index("start b")
    assert found["isBusy"] is False


async def test_waiting_and_running_entries_can_be_cancelled(modules: Modules) -> None:
    found = await drive(modules, ["add", "a"], ["add", "b"], ["cancel", "b"], ["cancel", "a"], ["retry", "b"])
    assert [each for each in found["log"] if each.startswith("start")] == ["start a", "start b"]
    assert "a cancelled" in found["log"]


async def test_failed_entry_does_not_stop_the_next(modules: Modules) -> None:
    failed = ["event", {"type": "failed", "message": "no", "retryAfterMs": 0}]
    found = await drive(modules, ["add", "a"], ["add", "b"], failed, ["remove", "a"])
    assert "start b" in found["log"]
    assert found["left"] == ["b"]


async def test_busy_server_is_waited_for(modules: Modules) -> None:
    busy = ["event", {"type": "failed", "message": "busy", "retryAfterMs": 5000}]
    found = await drive(modules, ["add", "a"], busy)
    assert found["log"][-1] == "a waiting"
    assert found["isBusy"] is True


async def test_states_of_a_job_are_states_of_its_entry(modules: Modules) -> None:
    states = ("queued", "fetching", "transcribing", "disconnected", "transcribing")
    jobs = [["event", {"type": "job", "state": state, "position": 1, "fraction": 0.5}] for state in states]
    found = await drive(modules, ["add", "a"], ["event", {"type": "accepted"}], *jobs)
    shown = [each.removeprefix("a ") for each in found["log"]][-5:]
    assert shown == ["queued", "downloading", "transcribing", "disconnected", "transcribing"]
    assert found["isBusy"] is True


REMAINING = """
async ({ FileQueue }) => {
  let emit;
  const queue = new FileQueue((entry, onEvent) => ((emit = onEvent), { cancel() {} }), () => {});
  const entry = queue.add({ name: "a", source: {}, transcript: {} });
  emit({ type: "job", state: "transcribing", fraction: 0.5 });
  entry.startedAt -= 10_000;
  const before = queue.remainingMs(entry);
  emit({ type: "job", state: "transcribing", fraction: 0.6 });
  return [before, queue.remainingMs(entry)];
}
"""


async def test_remaining_time_of_a_found_job_counts_from_now(modules: Modules) -> None:
    before, after = await modules.run("file_queue", REMAINING)
    assert before is None
    assert 39_000 < after < 42_000, "a tenth took ten seconds, and four are left"


async def drop(page: Page, *files: Path) -> None:
    contents = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
    await page.evaluate(
        """contents => {
            const data = new DataTransfer();
            for (const [name, content] of contents)
                data.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], name));
            document.querySelector("#drop").dispatchEvent(
                new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        contents,
    )


async def test_dropped_files_are_transcribed_in_turn(
    browser: Browser, speech: Program, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    async with open_page(browser, speech.url) as page:
        await drop(page, make_file(tmp_path, "wav"), make_file_with_pauses(tmp_path), empty)
        await page.get_by_role("alert").get_by_text("empty.wav: The file is empty.").wait_for()
        items = page.locator("#queue-list > li")
        await items.nth(1).and_(page.locator("[data-state=done]")).wait_for()
        assert await items.count() == 2
        assert await segment_texts(page) == SENTENCES[:1], "the first one that has text is shown"
        await items.nth(1).get_by_role("button", name="Open: pauses.wav").click()
        await wait_for_segments(page, *SENTENCES)
        await items.nth(0).get_by_role("button", name="Remove: speech.wav").click()
        assert not await page.locator("#queue").is_visible()
