"""Both networks agree with the package's own network, row by row."""

import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from audio.clip import HOP, SAMPLE_RATE, Samples
from vad.detector import StateTable
from vad.options import VadOptions
from vad.segmenter import Endpoint, Onset, Segmenter
from vad.silero_numpy import NumpySilero, NumpyStates
from vad.silero_torch import TorchSilero, TorchStates
from vad.silero_weights import (
    CONTEXT,
    HIDDEN,
    WINDOW,
    Array,
    SileroError,
    SileroMatrices,
    package_file,
    released_weights,
)

SHARED = Path(__file__).parents[3] / "shared" / "audio"
CPU = torch.device("cpu")

Probabilities = Callable[[Samples], NDArray[np.float32]]
Step = Callable[[Array, Array], tuple[Array, Array]]


def torch_step(window: Array, state: Array) -> tuple[Array, Array]:
    probabilities, following = TORCH.step(torch.from_numpy(window), torch.from_numpy(state))
    return probabilities.numpy(), following.numpy()


NUMPY, TORCH = NumpySilero(), TorchSilero(CPU)
both_networks = pytest.mark.parametrize("step", [NUMPY.step, torch_step], ids=["numpy", "torch"])
both_tables = pytest.mark.parametrize(
    "new_table", [lambda: NumpyStates(NUMPY), lambda: TorchStates(TORCH)], ids=["numpy", "torch"]
)


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


def probabilities(step: Step, samples: Samples) -> NDArray[np.float32]:
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), samples])
    state, probs = np.zeros((2, 1, HIDDEN), np.float32), []
    for window in np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]:
        prob, state = step(window[None].copy(), state)
        probs.append(prob[0])
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


def windows(rows: int, seed: int) -> Array:
    """Noise at as many levels as there are rows."""
    random = np.random.default_rng(seed)
    return (random.standard_normal((rows, WINDOW)) * random.random((rows, 1)) ** 3).astype(np.float32)


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


@both_networks
@pytest.mark.parametrize("name", ["silence", "noise", "faint noise", "chirp", "warble", "buzz"])
def test_agrees_with_the_package_on_synthetic_sound(step: Step, package: Probabilities, name: str) -> None:
    samples = synthetic(name)
    np.testing.assert_allclose(probabilities(step, samples), package(samples), rtol=0, atol=2e-5)


@both_networks
@pytest.mark.parametrize(
    "file",
    [
        "english_misc/files/jfk.wav",
        "librispeech/mp3/1272-128104-0000.mp3",
        "librispeech/mp3/1272-135031-0000.mp3",
    ],
)
def test_agrees_with_the_package_on_recorded_speech(step: Step, package: Probabilities, file: str) -> None:
    if not (SHARED / file).exists():
        pytest.skip("needs the recordings in ../shared")
    samples = decode(SHARED / file)
    ours, theirs = probabilities(step, samples), package(samples)
    assert theirs.max() > 0.9, "the recording holds speech"
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)
    assert segments(ours) == segments(theirs) != []


@both_networks
def test_a_row_is_judged_the_same_alone_and_among_others(step: Step) -> None:
    """300 rows are encoded in several blocks."""
    together = np.zeros((2, 300, HIDDEN), np.float32)
    alone = [np.zeros((2, 1, HIDDEN), np.float32) for _ in range(300)]
    for seed in range(2):
        window = windows(300, seed)
        probs, together = step(window, together)
        for row in range(0, 300, 23):
            prob, alone[row] = step(window[row : row + 1], alone[row])
            np.testing.assert_allclose(probs[row : row + 1], prob, rtol=0, atol=1e-5)


@both_networks
def test_step_is_pure(step: Step) -> None:
    window, state = windows(5, 0), np.random.default_rng(1).random((2, 5, HIDDEN), np.float32)
    window_before, state_before = window.copy(), state.copy()
    first, first_state = step(window, state)
    second, second_state = step(window, state)
    np.testing.assert_array_equal(window, window_before)
    np.testing.assert_array_equal(state, state_before)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first_state, second_state)


@both_networks
def test_the_loudest_finite_samples_spoil_neither_other_rows_nor_their_own(step: Step) -> None:
    quiet, state = windows(4, 1), np.zeros((2, 4, HIDDEN), np.float32)
    loud = quiet.copy()
    loud[2] = np.float32(3.4e38) * np.sign(quiet[2])
    expected, _ = step(quiet, state)
    probs, following = step(loud, state)
    others = [0, 1, 3]
    np.testing.assert_allclose(probs[others], expected[others], rtol=0, atol=1e-6)
    assert np.isfinite(following).all()


def test_loading_imports_neither_the_package_nor_its_classes() -> None:
    NumpySilero()
    assert "silero_vad" not in sys.modules


def test_the_weights_are_those_that_torch_reads() -> None:
    network = torch.jit.load(package_file(), map_location="cpu")  # type: ignore[no-untyped-call]
    expected = {
        name.removeprefix("_model."): value.numpy()
        for name, value in network.state_dict().items()
        if name.startswith("_model.")
    }
    weights = released_weights()
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(weights[name], value)


def test_a_network_with_other_spectra_is_refused() -> None:
    weights = released_weights()
    weights["stft.forward_basis_buffer"] = weights["stft.forward_basis_buffer"] * np.float32(1.01)
    with pytest.raises(SileroError, match="spectra"):
        SileroMatrices.of(weights)


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as zipped:
        for name, data in files.items():
            zipped.writestr(name, data)
    return path


class RunsAFunction:
    """Pickles as a call of `open`, which would create a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self._path), "w")


def test_files_that_are_not_the_network_are_refused_and_run_nothing(tmp_path: Path) -> None:
    created = tmp_path / "created"
    call = pickle.dumps(RunsAFunction(created))
    for number, file in enumerate(
        [
            tmp_path / "missing",
            archive(tmp_path / "empty.jit", {}),
            archive(tmp_path / "broken.jit", {"x/data.pkl": b"not a pickle"}),
            archive(tmp_path / "other.jit", {"x/data.pkl": pickle.dumps({"a": 1})}),
            archive(tmp_path / "call.jit", {"x/data.pkl": call}),
        ]
    ):
        with pytest.raises(SileroError, match="voice activity network"):
            released_weights(file)
        assert not created.exists(), number
    pickle.loads(call).close()
    assert created.exists(), "the call in the pickle works where names are imported"


@both_tables
def test_rows_of_the_table_keep_their_state_when_it_grows(new_table: Callable[[], StateTable]) -> None:
    hops = np.random.default_rng(0).standard_normal((3, 4, HOP)).astype(np.float32)
    rows = np.arange(4)
    small, large = new_table(), new_table()
    small.grow(4)
    large.grow(100)
    for hop in hops:
        np.testing.assert_array_equal(small.advance(rows, hop, [4]), large.advance(rows, hop, [4]))
        small.grow(len(small) + 5)
    assert len(small) == 19


@both_tables
def test_rows_that_were_written_start_over_and_others_go_on(
    new_table: Callable[[], StateTable],
) -> None:
    hop = np.random.default_rng(0).standard_normal((3, HOP)).astype(np.float32)
    rows = np.arange(3)
    table, other = new_table(), new_table()
    table.grow(3)
    other.grow(3)
    start = table.read(0)
    first = table.advance(rows, hop, [3])
    other.advance(rows, hop, [3])
    table.write(np.array([0, 2]), start)
    again = table.advance(rows, hop, [3])
    np.testing.assert_array_equal(again[[0, 2]], first[[0, 2]])
    assert again[1] == other.advance(rows, hop, [3])[1]
