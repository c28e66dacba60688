"""The transcript reports each change with the changed segment."""

from collections.abc import Sequence
from typing import Any

from tests.web.browser import Modules

Step = Sequence[Any]  # a method and its arguments

DRIVE = """
({ Transcript }, steps) => {
  const log = [];
  const transcript = new Transcript({ kind: "file", title: "talk.wav" });
  transcript.listeners.add((change, segment) => log.push([change, segment?.id ?? null]));
  for (const [name, ...values] of steps) transcript[name](...values);
  const { segments, hasText } = transcript;
  return { log, segments, hasText, at: transcript.wordAt(1500) ?? null };
}
"""


def final(id: str, text: str, start_ms: int, end_ms: int) -> Step:
    return ["setFinal", {"id": id, "text": text, "words": [], "startMs": start_ms, "endMs": end_ms}]


async def drive(modules: Modules, *steps: Step) -> dict[str, Any]:
    found: dict[str, Any] = await modules.run("transcript", DRIVE, steps)
    return found


async def test_partials_update_a_segment_until_its_final(modules: Modules) -> None:
    found = await drive(
        modules,
        ["setPartial", "a", "good", 0, 0],
        ["setPartial", "a", "good morning", 4, 0],
        final("a", "good morning", 0, 1000),
    )
    assert found["log"] == [["added", "a"], ["updated", "a"], ["finalized", "a"]]
    assert [segment["id"] for segment in found["segments"]] == ["a"]


async def test_segments_are_in_the_order_of_speech(modules: Modules) -> None:
    found = await drive(
        modules,
        ["setPartial", "a", "one", 0, 0],
        ["setPartial", "b", "two", 0, 1000],
        final("a", "one", 0, 1000),
        final("b", "two", 1000, 2000),
    )
    assert [segment["id"] for segment in found["segments"]] == ["a", "b"]
    assert (found["at"]["segment"]["id"], found["at"]["index"]) == ("b", 0)


async def test_utterance_without_words_is_removed(modules: Modules) -> None:
    found = await drive(modules, ["setPartial", "a", "uh", 0, 0], final("a", "", 0, 1000), ["remove", "a"])
    assert found["log"] == [["added", "a"], ["removed", "a"]]


async def test_edit_without_a_change_is_ignored(modules: Modules) -> None:
    morning = final("a", "good morning", 0, 1000)
    found = await drive(modules, morning, ["edit", "a", " good\n morning "], ["edit", "a", "good evening"])
    assert found["log"][2:] == [["edited", "a"]]
    assert found["segments"][0]["edited"] is True
    assert (await drive(modules, morning, ["edit", "a", " "]))["log"][-1] == ["removed", "a"]


async def test_edits_are_undone_in_reverse_order(modules: Modules) -> None:
    texts = [final(each, f"text {each}", 1000 * i, 1000 * i + 900) for i, each in enumerate("abc")]
    edits = [["edit", "b", "other"], ["edit", "b", " "], ["edit", "c", "last"]]
    found = await drive(modules, *texts, *edits, ["undo"], ["undo"])
    assert found["log"][-2:] == [["edited", "c"], ["restored", "b"]]
    assert [segment["id"] for segment in found["segments"]] == ["a", "b", "c"], "where it was"
    assert [len(segment["words"]) for segment in found["segments"]] == [2, 1, 2]
    found = await drive(modules, *texts, *edits, ["undo"], ["undo"], ["undo"], ["undo"])
    assert [segment["edited"] for segment in found["segments"]] == [False, False, False]


async def test_speech_without_words_is_no_text(modules: Modules) -> None:
    found = await drive(modules, ["setSpeech", "a", 1, 0], ["setSpeech", "a", 2, 0])
    assert found["log"] == [["added", "a"], ["updated", "a"]]
    assert found["segments"] == []
    assert found["hasText"] is False


async def test_segments_of_two_tracks_stand_in_order_of_time(modules: Modules) -> None:
    changes = await modules.run(
        "transcript",
        """({ Transcript }) => {
            const transcript = new Transcript({ kind: "recording", title: "" });
            const changes = [];
            transcript.listeners.add((change, { id }, next) => changes.push([change, id, next?.id ?? null]));
            transcript.setSpeech("a", 1, 5000, "me");
            transcript.setSpeech("b", 1, 3000, "tab");
            transcript.setPartial("b", "ja", 2, 3000, "tab");
            const final = { id: "c", text: "nein", words: [], startMs: 4000, endMs: 4500, speaker: "me" };
            transcript.setFinal(final);
            return [changes, transcript.all.map(({ id }) => id), transcript.speakers.nameOf("tab")];
        }""",
    )
    assert changes == [
        [
            ["added", "a", None],
            ["added", "b", "a"],
            ["updated", "b", None],
            ["added", "c", "a"],
            ["finalized", "c", None],
        ],
        ["b", "c", "a"],
        "Tab",
    ]
