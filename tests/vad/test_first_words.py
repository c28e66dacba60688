"""Test that the detector hears words that begin at the first sample of a stream."""

import shutil
import subprocess
import wave
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from audio.clip import HOP, SAMPLE_RATE, Samples
from audio.codecs import Encoding, Format
from audio.decoder import Decoder
from vad.detector import Detector
from vad.detector_input import NO_HOPS, DetectorInput
from vad.options import VadOptions
from vad.segmenter import Endpoint, Reason, Segmenter
from vad.silero_numpy import NumpySilero, NumpyStates
from vad.silero_torch import TorchSilero, TorchStates

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
VOICES = ("slt", "kal16", "rms")
AUDIBLE = 0.02  # of the loudest sample: the word begins at the first louder one
MULAW_BIAS, MULAW_CLIP = 33, 8158  # G.711, in units of 14-bit samples
FOUR = Path(__file__).parents[3] / "shared" / "cases" / "d_four_4_theo_1.wav"

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="needs flite to synthesize speech")


@pytest.fixture(scope="module", params=["numpy", "torch"])
def detector(request: pytest.FixtureRequest) -> Detector:
    if request.param == "numpy":
        return Detector(NumpyStates(NumpySilero()))
    return Detector(TorchStates(TorchSilero(torch.device("cpu"))))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> list[Samples]:
    """Return the ten digits in three voices, without the silence before and after them."""
    path = tmp_path_factory.mktemp("speech") / "word.wav"
    words = []
    for voice, word in product(VOICES, DIGITS):
        subprocess.run(["flite", "-voice", voice, "-t", word, "-o", str(path)], check=True)
        words.append(trimmed(read(path)))
    return words


def read(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        encoding = Encoding(Format.PCM16, file.getframerate(), file.getnchannels())
        return decoded(file.readframes(file.getnframes()), encoding)


def decoded(data: bytes, encoding: Encoding) -> Samples:
    decoder = Decoder()
    pieces = [decoder.decode(data, encoding)]
    while decoder.has_pending:
        pieces.append(decoder.continue_decoding())
    pieces.append(decoder.flush())
    return np.concatenate([piece.samples for piece in pieces if piece is not None])


def trimmed(samples: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(samples) > AUDIBLE * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1]


def telephone(samples: Samples) -> Samples:
    """Return the samples as they come through 8 kHz mu-law."""
    coarse = samples[: len(samples) // 2 * 2].reshape(-1, 2).mean(axis=1)
    magnitude = np.minimum(np.abs(coarse) * 8192, MULAW_CLIP).astype(int) + MULAW_BIAS
    exponent = np.floor(np.log2(magnitude)).astype(int) - 5
    mantissa = (magnitude >> (exponent + 1)) & 0xF
    code = ~(np.where(coarse < 0, 0x80, 0) | exponent << 4 | mantissa) & 0xFF
    return decoded(code.astype(np.uint8).tobytes(), Encoding(Format.PCMU, 8_000, 1))


def segments(detector: Detector, samples: Samples) -> list[tuple[int, int]]:
    """Return the utterances [start, end) of a stream that begins with these samples."""
    whole = np.concatenate([samples, np.zeros(SAMPLE_RATE // 2 + HOP, np.float32)])
    slot = detector.open()
    hops = whole[: len(whole) // HOP * HOP].reshape(-1, HOP)
    probabilities = detector.step([DetectorInput(slot, hops)])[0]
    detector.close(slot)
    segmenter = Segmenter(VadOptions(), lambda low, high: (low + high) // 2)
    events = [segmenter.feed(float(each)) for each in probabilities]
    events.append(segmenter.close(segmenter.position, Reason.END_OF_STREAM))
    return [(event.start, event.end) for event in events if isinstance(event, Endpoint)]


@needs_flite
@pytest.mark.parametrize("line", ["microphone", "telephone"])
def test_digit_at_the_first_sample_is_one_utterance(
    detector: Detector, digits: list[Samples], line: str
) -> None:
    for number, word in enumerate(digits):
        heard = segments(detector, telephone(word) if line == "telephone" else word)
        assert heard, f"digit {number} of {line} is lost"
        assert heard[0][0] == 0


def test_a_recorded_word_at_the_first_sample_is_heard(detector: Detector) -> None:
    if not FOUR.exists():
        pytest.skip("needs the recordings in ../shared")
    assert [start for start, _ in segments(detector, read(FOUR))] == [0]


@pytest.mark.parametrize("level", [0.0, 1e-4, 1e-3, 1e-2, 0.1, 0.3])
def test_noise_at_the_first_sample_opens_no_utterance(detector: Detector, level: float) -> None:
    for seed in range(10):
        noise = np.random.default_rng(seed).standard_normal(2 * SAMPLE_RATE).astype(np.float32)
        assert segments(detector, noise * np.float32(level)) == []


def test_both_networks_start_from_the_same_state() -> None:
    states = []
    for table in (NumpyStates(NumpySilero()), TorchStates(TorchSilero(torch.device("cpu")))):
        detector = Detector(table)
        states.append(detector.step([DetectorInput(detector.open(), NO_HOPS)])[0])
    first, second = states
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-4)
    assert np.abs(first).max() > 0.1, "the state is not that of zeros"
