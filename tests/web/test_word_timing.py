"""A text is cut into words that know their time, and keeps them when it is edited."""

from typing import Any

from tests.web.browser import Modules


def word(text: str, start: int, end: int, confidence: float | None = 0.9) -> dict[str, Any]:
    return {"text": text, "startMs": start, "endMs": end, "confidence": confidence}


HEARD = [word("good", 100, 300), word("morning", 300, 800)]


async def words_of(modules: Modules, text: str, heard: list[Any]) -> list[dict[str, Any]]:
    asked = "({ wordsOf }, [text, heard]) => wordsOf(text, heard, 0, 1000)"
    found: list[dict[str, Any]] = await modules.run("word_timing", asked, [text, heard])
    return found


async def edited(modules: Modules, words: list[Any], text: str) -> list[dict[str, Any]]:
    asked = "({ edited }, [words, text]) => edited(words, text, 0, 1000)"
    found: list[dict[str, Any]] = await modules.run("word_timing", asked, [words, text])
    return found


async def test_all_words_together_are_the_text(modules: Modules) -> None:
    found = await words_of(modules, "Good, morning!", [word("Good", 100, 300), word("morning", 300, 800)])
    assert [each["text"] for each in found] == ["Good, ", "morning!"]
    assert [(each["startMs"], each["endMs"]) for each in found] == [(100, 300), (300, 800)]


async def test_words_that_are_not_the_text_give_way_to_even_times(modules: Modules) -> None:
    for heard in ([], [word("evening", 0, 900)]):
        found = await words_of(modules, "good morning", heard)
        assert [(each["text"], each["startMs"], each["endMs"]) for each in found] == [
            ("good ", 0, 417),
            ("morning", 417, 1000),
        ]
        assert found[0]["confidence"] is None


async def test_words_without_blanks_between_them_are_kept_together(modules: Modules) -> None:
    found = await words_of(modules, "你好", [word("你", 0, 400), word("好", 400, 900)])
    assert [each["text"] for each in found] == ["你", "好"]


async def test_what_stays_in_an_edit_keeps_its_time(modules: Modules) -> None:
    words = await words_of(modules, "good morning", HEARD)
    found = await edited(modules, words, "a good new morning indeed")
    assert [each["text"].strip() for each in found] == ["a", "good", "new", "morning", "indeed"]
    assert (found[1]["startMs"], found[1]["endMs"], found[1]["confidence"]) == (100, 300, 0.9)
    assert found[3]["startMs"] == 300
    assert (found[0]["startMs"], found[0]["endMs"], found[0]["confidence"]) == (0, 100, None)
    assert (found[4]["startMs"], found[4]["endMs"]) == (800, 1000)


async def test_times_of_an_edited_text_never_go_back(modules: Modules) -> None:
    words = await words_of(modules, "one two three four", [])
    for text in ("four three two one", "one", "x y z", "two two two three"):
        found = await edited(modules, words, text)
        times = [time for each in found for time in (each["startMs"], each["endMs"])]
        assert times == sorted(times)
        assert "".join(each["text"] for each in found) == text
