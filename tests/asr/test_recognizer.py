"""Options, their limits, and the properties of a hypothesis."""

import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import (
    MAX_HOTWORD_CHARS,
    MAX_HOTWORDS,
    Hypothesis,
    ModelInfo,
    TranscriptionOptions,
    compression_ratio,
)

EVERYTHING = TranscriptionOptions(
    language="de", prompt="so", words=True, task="translate", temperature=0.5, hotwords=("Quilter",)
)


def test_nothing_asked_for_is_nothing_ignored() -> None:
    assert TranscriptionOptions().unsupported(()) == ()
    assert TranscriptionOptions(prompt="", hotwords=()).unsupported(()) == ()


def test_what_cannot_be_honoured_is_named_in_order() -> None:
    assert EVERYTHING.unsupported(()) == ("language", "prompt", "words", "task", "temperature", "hotwords")
    assert EVERYTHING.unsupported({"words", "language", "task"}) == ("prompt", "temperature", "hotwords")


@pytest.mark.parametrize("temperature", [-0.1, 1.1, float("nan")])
def test_a_temperature_out_of_range_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        TranscriptionOptions(temperature=temperature)


def test_the_compression_ratio_is_whispers() -> None:
    text = "of the stream " * 20
    assert Hypothesis(text).compression_ratio == len(text) / len(zlib.compress(text.encode()))


def test_no_text_has_no_compression_ratio() -> None:
    assert Hypothesis("").compression_ratio is None


def test_a_text_that_repeats_itself_compresses_better_than_one_that_does_not() -> None:
    said = "he hoped there would be stew for dinner, turnips and carrots and bruised potatoes"
    assert compression_ratio(said) < 1.2 < 2.4 < compression_ratio("thank you " * 20)


@given(text=st.text(alphabet=st.characters()))
def test_every_text_has_a_ratio(text: str) -> None:
    assert 0 <= compression_ratio(text) < 1100  # deflate reaches 1032 at most


def test_as_many_and_as_long_hotwords_as_may_be_are_taken() -> None:
    assert TranscriptionOptions(hotwords=("x" * MAX_HOTWORD_CHARS,) * MAX_HOTWORDS).hotwords


@pytest.mark.parametrize("hotwords", [("x",) * (MAX_HOTWORDS + 1), ("short", "x" * (MAX_HOTWORD_CHARS + 1))])
def test_too_many_or_too_long_hotwords_are_refused(hotwords: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="hotwords must"):
        TranscriptionOptions(hotwords=hotwords)


def test_a_log_line_counts_many_languages_and_gives_the_reason() -> None:
    model = ModelInfo("whisper-base", "auto", "ctranslate2", "cpu", "int8", tuple("abcdef"), reason="fast")
    assert model.summary == (
        "model=whisper-base family=ctranslate2 device=cpu dtype=int8 languages=6 reason='fast'"
    )
    few = ModelInfo("free", "free", "free", "cpu", "none", ("en", "de"))
    assert few.summary == "model=free family=free device=cpu dtype=none languages=en,de"
    assert "languages=unknown" in replace(few, languages=()).summary
