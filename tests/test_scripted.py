"""The recognizer of fixed words hears test.wav, whatever a codec or a microphone did to it."""

import numpy as np
import pytest

from asr.recognizer import RecognitionRequest, TranscriptionOptions
from audio.clip import SAMPLE_RATE, Clip
from tests.asr.spoken import ROOT, SENTENCES, read, sentence
from tests.scripted import Scripted

RNG = np.random.default_rng(1)
TEXTS = [text for _, _, text in SENTENCES]


@pytest.fixture(scope="module")
def recognizer() -> Scripted:
    return Scripted()


def heard(recognizer: Scripted, clip: Clip) -> str:
    (answer,) = recognizer.transcribe([RecognitionRequest(clip)])
    return answer.text


@pytest.mark.parametrize("number", range(len(SENTENCES)))
def test_a_sentence_is_heard_louder_noisy_and_elsewhere(recognizer: Scripted, number: int) -> None:
    samples = sentence(number).samples
    noise = RNG.normal(0, 0.3 * samples.std(), len(samples)).astype(np.float32)
    assert heard(recognizer, Clip(1.7 * samples + noise, 123_456)) == TEXTS[number]


def test_the_whole_file_is_heard_with_quiet_around_it(recognizer: Scripted) -> None:
    quiet = np.zeros(SAMPLE_RATE, np.float32)
    clip = Clip(np.concatenate([quiet, read(ROOT / "test.wav").samples, quiet]))
    assert heard(recognizer, clip) == " ".join(TEXTS)


@pytest.mark.parametrize("number", range(len(SENTENCES)))
@pytest.mark.parametrize("lost_at", [0.1, 0.5, 0.9])
def test_all_words_are_heard_where_a_microphone_lost_samples(
    recognizer: Scripted, number: int, lost_at: float
) -> None:
    quiet, samples = np.zeros(SAMPLE_RATE // 10, np.float32), sentence(number).samples
    at = round(lost_at * len(samples))
    clip = Clip(np.concatenate([quiet, samples[:at], samples[at + SAMPLE_RATE * 3 // 10 :], quiet]))
    assert heard(recognizer, clip) == TEXTS[number]


def test_a_partial_begins_its_final(recognizer: Scripted) -> None:
    samples = sentence(1).samples
    for length in range(SAMPLE_RATE // 2, len(samples), SAMPLE_RATE // 2):
        assert TEXTS[1].startswith(heard(recognizer, Clip(samples[:length])))
    assert heard(recognizer, Clip(samples[: len(samples) // 2])) == "she opened the window and"


@pytest.mark.parametrize("samples", [np.zeros(8000), RNG.normal(0, 0.1, 8000)], ids=["quiet", "noise"])
def test_what_is_not_in_the_file_has_no_words(recognizer: Scripted, samples: np.ndarray) -> None:
    assert heard(recognizer, Clip(samples.astype(np.float32))) == ""


def test_words_lie_in_their_clip_one_behind_the_other(recognizer: Scripted) -> None:
    clip = sentence(2)
    (answer,) = recognizer.transcribe([RecognitionRequest(clip, TranscriptionOptions(words=True))])
    times = [time for word in answer.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert clip.start <= times[0] < times[-1] <= clip.start + len(clip.samples)
    assert " ".join(word.text for word in answer.words) == answer.text
