"""The words of a text have times, and keep them when the text is edited."""

from typing import Any

from tests.web.browser import Modules


def word(text: str, start: int, end: int, confidence: float | None = 0.9) -> dict[str, Any]:
    return {"text": text, "startMs": start, "endMs": end, "confidence": confidence}


RECOGNIZED = [word("good", 100, 300), word("morning", 300, 800)]


async def align(modules: Modules, text: str, recognized: list[Any]) -> list[dict[str, Any]]:
    function = "({ alignWords }, [text, recognized]) => alignWords(text, recognized, 0, 1000)"
    found: list[dict[str, Any]] = await modules.run("word_timing", function, [text, recognized])
    return found


async def retime(modules: Modules, words: list[Any], text: str) -> list[dict[str, Any]]:
    function = "({ retimeWords }, [words, text]) => retimeWords(words, text, 0, 1000)"
    found: list[dict[str, Any]] = await modules.run("word_timing", function, [words, text])
    return found


async def test_concatenated_words_are_the_text(modules: Modules) -> None:
    found = await align(modules, "Good, morning!", [word("Good", 100, 300), word("morning", 300, 800)])
    assert [each["text"] for each in found] == ["Good, ", "morning!"]
    assert [(each["startMs"], each["endMs"]) for each in found] == [(100, 300), (300, 800)]


async def test_words_that_do_not_match_share_the_time(modules: Modules) -> None:
    for recognized in ([], [word("evening", 0, 900)]):
        found = await align(modules, "good morning", recognized)
        assert [(each["text"], each["startMs"], each["endMs"]) for each in found] == [
            ("good ", 0, 417),
            ("morning", 417, 1000),
        ]
        assert found[0]["confidence"] is None


async def test_words_without_spaces_are_kept(modules: Modules) -> None:
    found = await align(modules, "你好", [word("你", 0, 400), word("好", 400, 900)])
    assert [each["text"] for each in found] == ["你", "好"]


async def test_unchanged_words_keep_their_times(modules: Modules) -> None:
    words = await align(modules, "good morning", RECOGNIZED)
    found = await retime(modules, words, "a good new morning indeed")
    assert [each["text"].strip() for each in found] == ["a", "good", "new", "morning", "indeed"]
    assert (found[1]["startMs"], found[1]["endMs"], found[1]["confidence"]) == (100, 300, 0.9)
    assert found[3]["startMs"] == 300
    assert (found[0]["startMs"], found[0]["endMs"], found[0]["confidence"]) == (0, 100, None)
    assert (found[4]["startMs"], found[4]["endMs"]) == (800, 1000)


async def test_times_of_an_edited_text_never_decrease(modules: Modules) -> None:
    words = await align(modules, "one two three four", [])
    for text in ("four three two one", "one", "x y z", "two two two three"):
        found = await retime(modules, words, text)
        times = [time for each in found for time in (each["startMs"], each["endMs"])]
        assert times == sorted(times)
        assert "".join(each["text"] for each in found) == text
