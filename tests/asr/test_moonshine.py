"""The unsupported options of Moonshine."""

import pytest

from asr.recognizer import RecognitionRequest, TranscriptionOptions
from asr.seq2seq import Seq2Seq
from tests.asr import tiny


@pytest.fixture(scope="module")
def moonshine(tmp_path_factory: pytest.TempPathFactory) -> Seq2Seq:
    folder = tiny.moonshine(tmp_path_factory.mktemp("moonshine") / "moonshine")
    return Seq2Seq.load(folder, device="cpu", dtype="float32", audio_context="short")


def test_all_but_a_temperature_is_ignored_and_said_to_be(moonshine: Seq2Seq) -> None:
    clip = tiny.babble(1)
    asked = TranscriptionOptions(
        language="en", prompt="the", words=True, task="translate", hotwords=("clip",)
    )
    plain, ignorant = moonshine.transcribe([RecognitionRequest(clip), RecognitionRequest(clip, asked)])
    assert plain.ignored == ()
    assert ignorant.ignored == ("language", "prompt", "words", "task", "hotwords")
    assert ignorant.text == plain.text


def test_it_draws_at_a_temperature(moonshine: Seq2Seq) -> None:
    clip = tiny.babble(1)
    plain, drawn = moonshine.transcribe(
        [RecognitionRequest(clip), RecognitionRequest(clip, TranscriptionOptions(temperature=1.0))]
    )
    assert drawn.text != plain.text
    assert drawn.ignored == ()


def test_it_knows_neither_languages_nor_silence_but_how_sure_it_is(moonshine: Seq2Seq) -> None:
    (answer,) = moonshine.transcribe([RecognitionRequest(tiny.babble(1))])
    assert (answer.language, answer.language_probability, answer.no_speech_probability) == (None, None, None)
    assert answer.avg_log_prob is not None
    assert answer.avg_log_prob < 0
