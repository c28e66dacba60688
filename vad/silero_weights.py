"""Read the weights of Silero's voice activity network, and arrange them as matrices.

numpy only: a server on a CPU and the command line import no torch for the detector.
"""

import importlib.util
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio.clip import HOP

CONTEXT: Final = 64  # samples of the hop before that belong to the network's input
WINDOW: Final = CONTEXT + HOP
HIDDEN: Final = 128  # width of the recurrent state
STATE_SIZE: Final = 2 * HIDDEN + CONTEXT  # numbers that a stream's state holds

FRAME: Final = 256  # samples of one short-time spectrum
STRIDE: Final = 128
PAD: Final = 64  # samples mirrored at the end of a window
FRAMES: Final = 4  # spectra of one window
BINS: Final = FRAME // 2 + 1
MAX_AMPLITUDE: Final = 1e6  # full scales; larger samples are clipped, as their squares would overflow

Array = NDArray[np.float32]
Weights = dict[str, Array]


class SileroError(RuntimeError):
    """The released network is missing, or is not the one that this package computes."""


@dataclass(frozen=True, slots=True)
class SileroMatrices:
    """Hold the weights of the 16 kHz network of github.com/snakers4/silero-vad v6 as matrices, float32.

    The network is four magnitude spectra of a window, four convolutions over them, an LSTM cell and one
    probability. Over only four spectra the convolutions are matrix products; the spectra, in the release a
    convolution with a Fourier basis, are Fourier transforms.

    hann: (256,)
    conv0: two matrices (387, 256): spectra 0 to 2 make outputs 0 and 1, spectra 1 to 3 outputs 2 and 3
    conv1: (256, 128) for outputs 0 and 1; (256, 64) as outputs 2 and 3 only reach the second half
    conv2, conv3: (128, 64) and (64, 128)
    lstm: (256, 512), from features and hidden state to the gates input, forget, output, cell. The first three
        and their biases are halved, so that one tanh computes all: sigmoid(x) = 0.5 tanh(x / 2) + 0.5
    out: (128,), out_bias: the probability's logit
    """

    hann: Array
    conv0: tuple[Array, Array]
    bias0: Array
    conv1: tuple[Array, Array]
    bias1: Array
    conv2: Array
    bias2: Array
    conv3: Array
    bias3: Array
    lstm: Array
    lstm_bias: Array
    out: Array
    out_bias: float

    @classmethod
    def of(cls, weights: Weights) -> "SileroMatrices":
        """Arrange the released weights. Raises SileroError if they compute other spectra."""
        _check_spectra(weights["stft.forward_basis_buffer"])
        kernels = [weights[f"encoder.{layer}.reparam_conv.weight"] for layer in range(4)]
        biases = [weights[f"encoder.{layer}.reparam_conv.bias"] for layer in range(4)]
        # Frames 0 and 1 make both outputs, frames 2 and 3 only the second.
        from_left, from_right = np.split(_unrolled(kernels[1], 4, [0, 2]), 2)
        both = np.concatenate([weights["decoder.rnn.weight_ih"], weights["decoder.rnn.weight_hh"]], 1)
        lstm = _gates(both)
        lstm_bias = _gates(weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"])
        return cls(
            hann=weights["stft.forward_basis_buffer"][0, 0],  # row 0 is the window times cos(0)
            conv0=(_unrolled(kernels[0], 3, [0, 1]), _unrolled(kernels[0], 3, [1, 2])),
            bias0=np.tile(biases[0], 2),
            conv1=(from_left, np.ascontiguousarray(from_right[:, len(biases[1]) :])),
            bias1=np.tile(biases[1], 2),
            conv2=_unrolled(kernels[2], 2, [0]),
            bias2=biases[2],
            conv3=_unrolled(kernels[3], 1, [0]),
            bias3=biases[3],
            lstm=np.ascontiguousarray(lstm.T),
            lstm_bias=lstm_bias,
            out=weights["decoder.decoder.2.weight"].ravel(),
            out_bias=float(weights["decoder.decoder.2.bias"][0]),
        )


def package_file() -> Path:
    """Return the path of the released network in the package silero-vad, as TorchScript.

    The package is not imported, as that would import torch and set it to one thread in the whole process.

    Raises SileroError.
    """
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise SileroError("the package silero-vad is not installed")
    return Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.jit"


def released_weights(path: Path | None = None) -> Weights:
    """Return the weights of the 16 kHz network by name. The package's safetensors file holds another network.

    path: a TorchScript archive, that of the package by default
    Raises SileroError if it cannot be read.
    """
    file = path or package_file()
    unreadable = (OSError, zipfile.BadZipFile, pickle.UnpicklingError, EOFError, StopIteration)
    malformed = (AttributeError, IndexError, KeyError, TypeError, ValueError)
    try:
        with zipfile.ZipFile(file) as archive:
            pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            module = _ModuleReader(archive, pickled).load()
            weights = {
                name.removeprefix("_model."): value
                for name, value in _tensors(module)
                if name.startswith("_model.")
            }
            weights["stft.forward_basis_buffer"]
    except (*unreadable, *malformed) as error:
        raise SileroError(f"{file} is not Silero's voice activity network: {error!r}") from error
    return weights


def split_state(state: Array) -> tuple[Array, Array]:
    """Return the recurrent part (2, 128) and the context (64,) of a stream's saved state.

    Raises ValueError for another shape.
    """
    if state.shape != (STATE_SIZE,):
        raise ValueError(f"the detector's state of a stream has {STATE_SIZE} numbers, not {state.shape}")
    return state[: 2 * HIDDEN].reshape(2, HIDDEN), state[2 * HIDDEN :]


class _Module:
    """Stand for any class of the pickled network: it only holds the attributes."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class _ModuleReader(pickle.Unpickler):
    """Read a TorchScript module's attributes without running anything of it.

    An archive holds a pickle of the modules and one file for the numbers of each tensor. No class is
    imported: every name stands for a container of attributes or for one of three functions below.
    """

    def __init__(self, archive: zipfile.ZipFile, pickled: str) -> None:
        super().__init__(BytesIO(archive.read(pickled)))
        self._archive = archive
        self._folder = pickled.removesuffix("data.pkl")

    def persistent_load(self, pid: Any) -> Array:
        """Return the numbers of a storage: ("storage", type, file, device, count)."""
        return np.frombuffer(self._archive.read(f"{self._folder}data/{pid[2]}"), "<f4")

    def find_class(self, module: str, name: str) -> Any:
        functions: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch.jit._pickle", "build_intlist"): list,
        }
        return functions.get((module, name), _Module)


def _tensor(
    numbers: Array, first: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> Array:
    itemsize = numbers.itemsize
    steps = tuple(itemsize * stride for stride in strides)
    return np.lib.stride_tricks.as_strided(numbers[first:], shape, steps).copy()


def _tensors(module: _Module, prefix: str = "") -> Iterator[tuple[str, Array]]:
    for name, value in vars(module).items():
        if isinstance(value, _Module):
            yield from _tensors(value, f"{prefix}{name}.")
        elif isinstance(value, np.ndarray):
            yield prefix + name, value


def _check_spectra(basis: Array) -> None:
    """Check that the first layer (258, 1, 256) is a Fourier transform under a Hann window.

    Raises SileroError.
    """
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    spectra = np.fft.rfft(np.diag(hann))
    expected = np.concatenate([spectra.real, spectra.imag], 1).T
    if not np.allclose(basis[:, 0], expected, atol=1e-6):
        raise SileroError("this release of silero-vad computes its spectra differently and is not supported")


def _unrolled(kernel: Array, frames: int, centres: list[int]) -> Array:
    """Return a convolution over few frames as one matrix (frames * inputs, len(centres) * outputs).

    kernel: (outputs, inputs, 3)
    centres: the frame at the middle of the kernel, of each frame that comes out; frames outside are zero
    """
    outputs, inputs, taps = kernel.shape
    matrix = np.zeros((frames, inputs, len(centres), outputs), np.float32)
    for out, centre in enumerate(centres):
        for tap in range(taps):
            frame = centre + tap - taps // 2
            if 0 <= frame < frames:
                matrix[frame, :, out] = kernel[:, :, tap].T
    return matrix.reshape(frames * inputs, len(centres) * outputs)


def _gates(rows: Array) -> Array:
    """Reorder rows of the gates input, forget, cell, output: the halved three with a sigmoid come first."""
    update, forget, cell, output = np.split(rows, 4)
    half = np.float32(0.5)
    return np.concatenate([update * half, forget * half, output * half, cell])
