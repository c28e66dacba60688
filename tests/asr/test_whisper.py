"""Whisper: languages, prompts, times; and real weights where they are at hand."""

import json
import wave
from pathlib import Path

import jiwer
import numpy as np
import pytest

from asr.hypothesis import Options, Request
from asr.seq2seq import Seq2Seq
from audio.clip import SAMPLE_RATE, Clip
from tests.asr import families, tiny

SHARED = Path(__file__).parents[3] / "shared"
WEIGHTS = SHARED / "models" / "whisper-tiny.en-relearned"
ENGLISH = SHARED / "audio" / "english_misc"


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Seq2Seq:
    return Seq2Seq.load(
        tiny.whisper(tmp_path_factory.mktemp("en") / "whisper"), device="cpu", dtype="float32"
    )


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> Seq2Seq:
    folder = tiny.whisper(tmp_path_factory.mktemp("all") / "whisper", languages=("en", "de", "fr"))
    return Seq2Seq.load(folder, device="cpu", dtype="float32")


def test_an_english_model_claims_english(english: Seq2Seq) -> None:
    assert english.languages == ("en",)
    assert english.transcribe([Request(tiny.babble(1), Options(language="de"))])[0].language == "en"


def test_a_multilingual_model_claims_its_languages(multilingual: Seq2Seq) -> None:
    assert set(multilingual.languages) == {"en", "de", "fr"}


def test_the_language_asked_for_is_the_language_answered(multilingual: Seq2Seq) -> None:
    requests = [Request(tiny.babble(1), Options(language=language)) for language in ("fr", "en", "de")]
    answers = multilingual.transcribe(requests)
    assert [answer.language for answer in answers] == ["fr", "en", "de"]
    assert len({answer.text for answer in answers}) > 1


def test_without_a_known_language_the_likeliest_is_told(multilingual: Seq2Seq) -> None:
    clip = tiny.babble(1)
    requests = [Request(clip), Request(clip, Options(language="tlh")), Request(clip, Options(language="fr"))]
    detected, unknown, french = multilingual.transcribe(requests)
    assert detected.language in multilingual.languages
    assert unknown == detected
    assert french.language == "fr"


def test_a_prompt_changes_what_is_written(english: Seq2Seq) -> None:
    clip = tiny.babble(1)
    plain, prompted = english.transcribe([Request(clip), Request(clip, Options(prompt="the speech stream"))])
    assert plain.text != prompted.text


def test_a_blank_prompt_is_none(english: Seq2Seq) -> None:
    clip = tiny.babble(1)
    plain, blank = english.transcribe([Request(clip), Request(clip, Options(prompt="  "))])
    assert plain == blank


def test_control_tokens_in_a_prompt_are_dropped(english: Seq2Seq) -> None:
    clip = tiny.babble(1)
    sly = Options(prompt="the<|endoftext|><|notimestamps|>")
    honest, meddling = english.transcribe([Request(clip, Options(prompt="the")), Request(clip, sly)])
    assert honest.text == meddling.text


def test_a_prompt_of_any_length_leaves_half_the_context_for_the_text(english: Seq2Seq) -> None:
    (answer,) = english.transcribe([Request(tiny.babble(1), Options(prompt="the speech stream " * 500))])
    assert answer.text


def test_words_tell_the_text_and_lie_in_the_clip(english: Seq2Seq) -> None:
    families.assert_words_tell_the_text_and_lie_in_the_clip(english)


def real(name: str) -> tuple[Clip, str]:
    """16 kHz mono 16-bit PCM and its reference."""
    with wave.open(str(ENGLISH / "files" / name)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(
            np.float32
        ) / np.float32(32768)
    rows = [json.loads(line) for line in (ENGLISH / "manifest.jsonl").read_text().splitlines()]
    return Clip(samples), next(row["text"] for row in rows if row["file"] == f"files/{name}")


def plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == " ")


@pytest.fixture(scope="module")
def trained() -> Seq2Seq:
    if not WEIGHTS.exists():
        pytest.skip(f"{WEIGHTS} is absent")
    return Seq2Seq.load(WEIGHTS, device="cpu", local_files_only=True)


@pytest.mark.slow
def test_a_famous_sentence_is_understood(trained: Seq2Seq) -> None:
    clip, reference = real("jfk.wav")
    (answer,) = trained.transcribe([Request(clip, families.WORDS)])
    assert jiwer.wer(plain(reference), plain(answer.text)) < 0.4
    assert answer.language == "en"


@pytest.mark.slow
def test_words_lie_where_they_are_heard(trained: Seq2Seq) -> None:
    """In the speech there are pauses: 2.3 to 3.3 s before the first ask, 7.7 to 8.2 s before the second."""
    clip, _ = real("jfk.wav")
    (answer,) = trained.transcribe([Request(clip, families.WORDS)])
    asks = [word.start / SAMPLE_RATE for word in answer.words if plain(word.text) == "ask"]
    assert asks == [pytest.approx(3.35, abs=0.2), pytest.approx(8.3, abs=0.2)]
