"""The network says what the package's own network says, row by row."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from audio.clip import HOP, SAMPLE_RATE, Samples
from vad.options import VadOptions
from vad.segmenter import Endpoint, Onset, Segmenter
from vad.silero import (
    CONTEXT,
    HIDDEN,
    WINDOW,
    Silero,
    SileroError,
    StateTable,
    package_file,
    pick_dtype,
    released_weights,
    use_one_thread,
)

SHARED = Path(__file__).parents[3] / "shared" / "audio"
CPU = torch.device("cpu")

Probabilities = Callable[[Samples], NDArray[np.float32]]


@pytest.fixture(scope="module")
def network() -> Silero:
    use_one_thread()
    return Silero.load("cpu", "float32")


@pytest.fixture(scope="module")
def package() -> Probabilities:
    """The package's network, one hop of one stream after the other."""
    model = torch.jit.load(package_file())  # type: ignore[no-untyped-call]

    def probabilities(samples: Samples) -> NDArray[np.float32]:
        model.reset_states()
        with torch.inference_mode():
            hops = torch.from_numpy(samples).view(-1, 1, HOP)
            return np.array([model(hop, SAMPLE_RATE).item() for hop in hops], dtype=np.float32)

    return probabilities


def probabilities(network: Silero, samples: Samples) -> NDArray[np.float32]:
    padded = torch.from_numpy(np.concatenate([np.zeros(CONTEXT, np.float32), samples]))
    state, probs = torch.zeros(2, 1, HIDDEN), []
    for window in padded.unfold(0, WINDOW, HOP):
        prob, state = network.step(window.unsqueeze(0), state)
        probs.append(prob.item())
    return np.array(probs, dtype=np.float32)


def segments(probs: NDArray[np.float32]) -> list[Onset | Endpoint]:
    segmenter = Segmenter(VadOptions(), lambda low, high: (low + high) // 2)
    return [event for prob in probs if (event := segmenter.feed(float(prob)))]


def decode(file: Path) -> Samples:
    """The first 8 s, to a whole number of hops."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(str(file)) as container:
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    samples: Samples = np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)
    return samples[: min(len(samples), 8 * SAMPLE_RATE) // HOP * HOP]


def windows(rows: int, seed: int) -> torch.Tensor:
    """Noise at as many levels as there are rows."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(rows, WINDOW, generator=random) * torch.rand(rows, 1, generator=random) ** 3


def synthetic(name: str) -> Samples:
    """2 s of sound."""
    random = np.random.default_rng(7)
    t = np.arange(62 * HOP) / SAMPLE_RATE
    sounds = {
        "silence": np.zeros_like(t),
        "noise": 0.1 * random.standard_normal(len(t)),
        "faint noise": 1e-5 * random.standard_normal(len(t)),
        "chirp": 0.5 * np.sin(2 * np.pi * (50 + 1000 * t) * t),
        "warble": 0.3 * np.sin(2 * np.pi * 440 * t) * (1 + np.sin(2 * np.pi * 4 * t)),
        # A pulse train of 120 Hz in syllables: as near to a voice as a line of code comes.
        "buzz": 0.3 * (np.modf(120 * t)[0] < 0.05) * (np.sin(2 * np.pi * 3 * t) > 0),
    }
    samples: Samples = sounds[name].astype(np.float32)
    return samples


@pytest.mark.parametrize("name", ["silence", "noise", "faint noise", "chirp", "warble", "buzz"])
def test_agrees_with_the_package_on_synthetic_sound(
    network: Silero, package: Probabilities, name: str
) -> None:
    samples = synthetic(name)
    np.testing.assert_allclose(probabilities(network, samples), package(samples), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "file",
    [
        "english_misc/files/jfk.wav",
        "librispeech/mp3/1272-128104-0000.mp3",
        "librispeech/mp3/1272-135031-0000.mp3",
    ],
)
def test_agrees_with_the_package_on_recorded_speech(
    network: Silero, package: Probabilities, file: str
) -> None:
    if not (SHARED / file).exists():
        pytest.skip("needs the recordings in ../shared")
    samples = decode(SHARED / file)
    ours, theirs = probabilities(network, samples), package(samples)
    assert theirs.max() > 0.9, "the recording holds speech"
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)
    assert segments(ours) == segments(theirs) != []


def test_a_row_is_judged_the_same_alone_and_among_others(network: Silero) -> None:
    """300 rows are worked on in several blocks."""
    together = torch.zeros(2, 300, HIDDEN)
    alone = [torch.zeros(2, 1, HIDDEN) for _ in range(300)]
    for seed in range(2):
        window = windows(300, seed)
        probs, together = network.step(window, together)
        for row in range(0, 300, 23):
            prob, alone[row] = network.step(window[row : row + 1], alone[row])
            np.testing.assert_allclose(probs[row : row + 1], prob, rtol=0, atol=1e-5)


def test_step_is_pure(network: Silero) -> None:
    window, state = windows(5, 0), torch.rand(2, 5, HIDDEN)
    window_before, state_before = window.clone(), state.clone()
    first, first_state = network.step(window, state)
    second, second_state = network.step(window, state)
    assert torch.equal(window, window_before)
    assert torch.equal(state, state_before)
    assert torch.equal(first, second)
    assert torch.equal(first_state, second_state)


def test_the_loudest_finite_samples_spoil_neither_other_rows_nor_their_own(network: Silero) -> None:
    quiet, state = windows(4, 1), torch.zeros(2, 4, HIDDEN)
    loud = quiet.clone()
    loud[2] = 3.4e38 * quiet[2].sign()
    expected, _ = network.step(quiet, state)
    probs, following = network.step(loud, state)
    others = [0, 1, 3]
    np.testing.assert_allclose(probs[others], expected[others], rtol=0, atol=1e-6)
    assert following.isfinite().all()


def test_bfloat16_stays_near_float32(network: Silero) -> None:
    """Few steps of many rows, as this is emulated, slowly, where the processor has no such instructions."""
    coarse = Silero(released_weights(), CPU, torch.bfloat16)
    state = coarse_state = torch.zeros(2, 30, HIDDEN)
    buzz = torch.from_numpy(synthetic("buzz"))
    for window in [buzz[: 31 * HOP].unfold(0, WINDOW, HOP)] * 3:
        probs, state = network.step(window, state)
        coarse_probs, coarse_state = coarse.step(window, coarse_state)
        np.testing.assert_allclose(coarse_probs, probs, rtol=0, atol=0.05)


def test_loading_touches_neither_the_package_nor_torchs_threads() -> None:
    threads = torch.get_num_threads()
    Silero.load("cpu")
    assert torch.get_num_threads() == threads
    assert "silero_vad" not in sys.modules


def test_on_a_gpu_auto_means_float32() -> None:
    assert pick_dtype(torch.device("cuda")) == torch.float32


def test_a_network_with_other_spectra_is_refused() -> None:
    weights = released_weights()
    weights["stft.forward_basis_buffer"] = weights["stft.forward_basis_buffer"] * 1.01
    with pytest.raises(SileroError, match="spectra"):
        Silero(weights, CPU)


def test_rows_of_the_table_keep_their_state_when_it_grows(network: Silero) -> None:
    hops = np.random.default_rng(0).standard_normal((3, 4, HOP)).astype(np.float32)
    rows = np.arange(4)
    small, large = StateTable(network), StateTable(network)
    small.grow(4)
    large.grow(100)
    for hop in hops:
        np.testing.assert_array_equal(small.advance(rows, hop, [4]), large.advance(rows, hop, [4]))
        small.grow(len(small) + 5)
    assert len(small) == 19


def test_a_row_that_was_reset_starts_over_and_its_neighbour_goes_on(network: Silero) -> None:
    hop = np.random.default_rng(0).standard_normal((2, HOP)).astype(np.float32)
    rows = np.arange(2)
    table, other = StateTable(network), StateTable(network)
    table.grow(2)
    other.grow(2)
    first = table.advance(rows, hop, [2])
    other.advance(rows, hop, [2])
    table.reset(np.array([0]))
    again = table.advance(rows, hop, [2])
    assert again[0] == first[0]
    assert again[1] == other.advance(rows, hop, [2])[1]


GROWTH = """
import psutil, torch
from vad.silero import Silero, use_one_thread

use_one_thread()
network = Silero.load("cpu")
network.warm_up()
process = psutil.Process()
before = process.memory_info().rss
for rows in range(1, 300):
    network.step(torch.zeros(rows, 576), torch.zeros(2, rows, 128))
print(process.memory_info().rss - before)
"""


@pytest.mark.slow
def test_once_warm_it_grows_no_more_however_many_streams_come() -> None:
    command = [sys.executable, "-c", GROWTH]
    told = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(told.stdout) < 20e6
