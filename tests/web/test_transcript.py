"""A transcript tells of each change by its segment alone."""

from collections.abc import Sequence
from typing import Any

from tests.web.browser import Modules

Step = Sequence[Any]  # what is done, and with what

DRIVE = """
({ Transcript }, steps) => {
  const log = [];
  const transcript = new Transcript((change, segment) => log.push([change, segment?.id ?? null]));
  for (const [name, ...given] of steps) transcript[name](...given);
  return { log, segments: transcript.segments, at: transcript.at(1500) ?? null };
}
"""


async def drive(modules: Modules, *steps: Step) -> dict[str, Any]:
    found: dict[str, Any] = await modules.run("transcript", DRIVE, steps)
    return found


async def test_partials_open_and_change_a_segment_and_its_final_closes_it(modules: Modules) -> None:
    found = await drive(
        modules,
        ["showPartial", "a", "good", 0, 0],
        ["showPartial", "a", "good morning", 4, 0],
        ["showFinal", "a", "good morning", [], 0, 1000],
    )
    assert found["log"] == [["opened", "a"], ["changed", "a"], ["closed", "a"]]
    assert [segment["id"] for segment in found["segments"]] == ["a"]


async def test_segments_stay_in_the_order_of_speech(modules: Modules) -> None:
    found = await drive(
        modules,
        ["showPartial", "a", "one", 0, 0],
        ["showPartial", "b", "two", 0, 1000],
        ["showFinal", "a", "one", [], 0, 1000],
        ["showFinal", "b", "two", [], 1000, 2000],
    )
    assert [segment["id"] for segment in found["segments"]] == ["a", "b"]
    assert (found["at"]["segment"]["id"], found["at"]["index"]) == ("b", 0)


async def test_an_utterance_without_words_leaves_nothing(modules: Modules) -> None:
    found = await drive(
        modules, ["showPartial", "a", "uh", 0, 0], ["showFinal", "a", "", [], 0, 1000], ["remove", "a"]
    )
    assert found["log"] == [["opened", "a"], ["removed", "a"]]


async def test_an_edit_is_told_if_it_changes_anything(modules: Modules) -> None:
    final = ["showFinal", "a", "good morning", [], 0, 1000]
    found = await drive(modules, final, ["edit", "a", " good\n morning "], ["edit", "a", "good evening"])
    assert found["log"][2:] == [["edited", "a"]]
    assert found["segments"][0]["edited"] is True
    assert (await drive(modules, final, ["edit", "a", " "]))["log"][-1] == ["removed", "a"]
