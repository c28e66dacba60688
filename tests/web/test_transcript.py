"""The transcript reports each change with the changed segment."""

from collections.abc import Sequence
from typing import Any

from tests.web.browser import Modules

Step = Sequence[Any]  # a method and its arguments

DRIVE = """
({ Transcript }, steps) => {
  const log = [];
  const transcript = new Transcript((change, segment) => log.push([change, segment?.id ?? null]));
  for (const [name, ...values] of steps) transcript[name](...values);
  return { log, segments: transcript.segments, at: transcript.wordAt(1500) ?? null };
}
"""


async def drive(modules: Modules, *steps: Step) -> dict[str, Any]:
    found: dict[str, Any] = await modules.run("transcript", DRIVE, steps)
    return found


async def test_partials_update_a_segment_until_its_final(modules: Modules) -> None:
    found = await drive(
        modules,
        ["setPartial", "a", "good", 0, 0],
        ["setPartial", "a", "good morning", 4, 0],
        ["setFinal", "a", "good morning", [], 0, 1000],
    )
    assert found["log"] == [["added", "a"], ["updated", "a"], ["finalized", "a"]]
    assert [segment["id"] for segment in found["segments"]] == ["a"]


async def test_segments_are_in_the_order_of_speech(modules: Modules) -> None:
    found = await drive(
        modules,
        ["setPartial", "a", "one", 0, 0],
        ["setPartial", "b", "two", 0, 1000],
        ["setFinal", "a", "one", [], 0, 1000],
        ["setFinal", "b", "two", [], 1000, 2000],
    )
    assert [segment["id"] for segment in found["segments"]] == ["a", "b"]
    assert (found["at"]["segment"]["id"], found["at"]["index"]) == ("b", 0)


async def test_utterance_without_words_is_removed(modules: Modules) -> None:
    found = await drive(
        modules, ["setPartial", "a", "uh", 0, 0], ["setFinal", "a", "", [], 0, 1000], ["remove", "a"]
    )
    assert found["log"] == [["added", "a"], ["removed", "a"]]


async def test_edit_without_a_change_is_ignored(modules: Modules) -> None:
    final = ["setFinal", "a", "good morning", [], 0, 1000]
    found = await drive(modules, final, ["edit", "a", " good\n morning "], ["edit", "a", "good evening"])
    assert found["log"][2:] == [["edited", "a"]]
    assert found["segments"][0]["edited"] is True
    assert (await drive(modules, final, ["edit", "a", " "]))["log"][-1] == ["removed", "a"]
