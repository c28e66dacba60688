"""Compute the voice activity network of Silero v6 at 16 kHz, with a row of state for each stream."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio.clip import HOP, Samples

CONTEXT: Final = 64  # samples of the hop before that belong to the network's input
WINDOW: Final = CONTEXT + HOP
HIDDEN: Final = 128  # width of the recurrent state

FRAME: Final = 256  # samples of one short-time spectrum
STRIDE: Final = 128
PAD: Final = 64  # samples mirrored at the end of a window
FRAMES: Final = 4  # spectra of one window
BINS: Final = FRAME // 2 + 1

MAX_AMPLITUDE: Final = 1e6  # full scales; larger samples are clipped, as their squares would overflow
HEIGHTS: Final = ((4, 1), (64, 8), (256, 32), (1 << 62, 128))  # pairs: up to so many rows, padded to steps of
BLOCK: Final = 128  # rows encoded together on a CPU, so that intermediate results stay in its cache

Probs = NDArray[np.float32]
Dtype = Literal["auto", "float32", "bfloat16"]
Weights = dict[str, Tensor]


class SileroError(RuntimeError):
    """The released network is missing, or is not the one that this module computes."""


class Silero:
    """Compute speech probabilities of 32 ms each, for any number of streams at once, each in its own row.

    Computes the 16 kHz network of github.com/snakers4/silero-vad v6: four magnitude spectra, four
    convolutions, an LSTM cell, one probability. Over only four spectra the convolutions are matrix products
    here; the spectra, in the release a convolution with a Fourier basis, are Fourier transforms.

    weights: of the released network; see `released_weights`
    dtype: of the matrix products; spectra, state and probabilities are float32 always
    """

    def __init__(self, weights: Weights, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        def place(tensor: Tensor) -> Tensor:
            return tensor.to(device, dtype).contiguous()

        _check_spectra(weights["stft.forward_basis_buffer"])
        kernels = [weights[f"encoder.{layer}.reparam_conv.weight"] for layer in range(4)]
        biases = [weights[f"encoder.{layer}.reparam_conv.bias"] for layer in range(4)]
        self.device = device
        self.dtype = dtype
        mirrored = torch.arange(WINDOW - 2, WINDOW - 2 - PAD, -1)
        self._padded = torch.cat([torch.arange(WINDOW), mirrored]).to(device)
        self._hann = weights["stft.forward_basis_buffer"][0, 0].to(device)  # row 0 is the window times cos(0)
        # Spectra 0 to 2 make outputs 0 and 1, spectra 1 to 3 outputs 2 and 3: two bands with few zeros.
        self._conv0 = place(torch.stack([_unrolled(kernels[0], 3, [0, 1]), _unrolled(kernels[0], 3, [1, 2])]))
        self._bias0 = place(biases[0].repeat(2))
        # Frames 0 and 1 make both outputs, frames 2 and 3 only the second.
        from_left, from_right = _unrolled(kernels[1], 4, [0, 2]).chunk(2)
        self._narrow = len(biases[1])
        self._conv1 = place(from_left), place(from_right[:, self._narrow :])
        self._bias1 = place(biases[1].repeat(2))
        self._conv2 = place(_unrolled(kernels[2], 2, [0]))
        self._bias2 = place(biases[2])
        self._conv3 = place(_unrolled(kernels[3], 1, [0]))
        self._bias3 = place(biases[3])
        self._lstm = place(_lstm_matrix(weights))
        self._lstm_bias = place(_tanh_last(weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"]))
        self._out = weights["decoder.decoder.2.weight"].flatten().to(device)
        self._out_bias = weights["decoder.decoder.2.bias"].to(device)

    @classmethod
    def load(cls, device: str = "auto", dtype: Dtype = "auto") -> Self:
        """Load the released network.

        device: cpu, cuda, cuda:0 …; auto: a GPU if there is one
        dtype: auto: bfloat16 on CPUs that multiply it in hardware, else float32
        Raises SileroError if the package silero-vad is missing or holds another network.
        """
        place = pick_device() if device == "auto" else torch.device(device)
        return cls(released_weights(), place, pick_dtype(place) if dtype == "auto" else getattr(torch, dtype))

    def warm_up(self) -> None:
        """Run the network once for each height, so that nothing is built later, on first use.

        On a CPU that takes 3 ms and 4 MB for each height, which would delay the first streams, and memory
        would grow for hours as rare heights come.
        """
        for height in _heights() if self.device.type == "cpu" else [1]:
            window = torch.zeros(height, WINDOW, device=self.device)
            self.step(window, torch.zeros(2, height, HIDDEN, device=self.device))

    @torch.inference_mode()
    def step(self, window: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Judge one window of each stream. Pure; rows are independent, whatever finite samples they hold.

        window: float32 (B, 576), the last 64 samples of the hop before (zeros at the start), then the hop
        state: float32 (2, B, 128), zeros at the start
        returns: probabilities of speech float32 (B,), and the next state
        """
        return self.decode(self.encode(window), state)

    @torch.inference_mode()
    def encode(self, window: Tensor) -> Tensor:
        """Compute the part of `step` that needs no state: features (B, 128) of windows (B, 576)."""
        blocks = torch.split(window, BLOCK) if self.device.type == "cpu" else (window,)
        return torch.cat([self._convolve(self._spectra(block)) for block in blocks])

    @torch.inference_mode()
    def decode(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the rest of `step`: from features (B, 128) and state, probabilities and the next state."""
        inputs = torch.cat([features, state[0].to(self.dtype)], 1)
        gates = torch.addmm(self._lstm_bias, self._padded_rows(inputs), self._lstm)[: len(inputs)].float()
        update, forget, output = gates[:, : 3 * HIDDEN].sigmoid_().chunk(3, 1)
        following = torch.empty_like(state)
        hidden, cell = following.unbind()
        torch.mul(forget, state[1], out=cell).addcmul_(update, gates[:, 3 * HIDDEN :].tanh_())
        torch.tanh(cell, out=hidden).mul_(output)
        return torch.addmv(self._out_bias, hidden.relu(), self._out).sigmoid_(), following

    def _spectra(self, window: Tensor) -> Tensor:
        """Return the magnitudes (B, 4 * 129) of the windows, reflected at their end."""
        loud = window.clamp(-MAX_AMPLITUDE, MAX_AMPLITUDE)
        frames = loud.index_select(1, self._padded).unfold(1, FRAME, STRIDE)
        parts = torch.view_as_real(torch.fft.rfft(frames * self._hann)).square()
        # The square root of a sum: abs() of complex numbers is several times slower.
        magnitudes = torch.add(parts[..., 0], parts[..., 1]).sqrt_()
        return magnitudes.to(self.dtype).view(-1, FRAMES * BINS)

    def _convolve(self, spectra: Tensor) -> Tensor:
        """Return the features (B, 128) of the spectra."""
        count, spectra = len(spectra), self._padded_rows(spectra)
        bands = spectra.unfold(1, 3 * BINS, BINS).transpose(0, 1)
        left, right = torch.bmm(bands, self._conv0).add_(self._bias0).relu_().unbind()
        x = torch.addmm(self._bias1, left, self._conv1[0])
        x[:, self._narrow :].addmm_(right, self._conv1[1])
        x = torch.addmm(self._bias2, x.relu_(), self._conv2).relu_()
        return torch.addmm(self._bias3, x, self._conv3)[:count].relu_()

    def _padded_rows(self, rows: Tensor) -> Tensor:
        """Pad with rows of zeros to one of few heights.

        On a CPU, oneDNN keeps more than a megabyte for each height of a product, so memory would grow as long
        as new heights come.
        """
        step = next(step for most, step in HEIGHTS if len(rows) <= most)
        missing = -len(rows) % step if self.device.type == "cpu" else 0
        return torch.nn.functional.pad(rows, (0, 0, 0, missing)) if missing else rows


def _heights() -> Iterator[int]:
    """Yield the heights of HEIGHTS except the last range, which occurs in only one product."""
    first = 1
    for most, step in HEIGHTS[:-1]:
        yield from range(-(-first // step) * step, most + 1, step)
        first = most + 1


class StateTable:
    """Hold a row of state for each of many streams, on the network's device, between hops."""

    def __init__(self, network: Silero) -> None:
        self._network = network
        self._state = torch.zeros(2, 0, HIDDEN, device=network.device)
        self._context = torch.zeros(0, CONTEXT, device=network.device)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._context)

    def grow(self, rows: int) -> None:
        """Add rows of zeros up to this number; existing rows keep their state."""
        more = rows - len(self)
        self._state = torch.nn.functional.pad(self._state, (0, 0, 0, more))
        self._context = torch.nn.functional.pad(self._context, (0, 0, 0, more))

    def reset(self, rows: NDArray[np.int64]) -> None:
        """Reset rows to the start of a stream."""
        index = torch.from_numpy(rows).to(self._network.device)
        self._state.index_fill_(1, index, 0.0)
        self._context.index_fill_(0, index, 0.0)

    def read(self, row: int) -> Samples:
        """Return a copy of a row: float32 (320,), the recurrent state and the context."""
        kept = torch.cat([self._state[:, row].flatten(), self._context[row]])
        memory: Samples = kept.cpu().numpy()
        return memory

    def write(self, row: int, memory: Samples) -> None:
        """Restore a row from what `read` returned. Raises ValueError for another shape."""
        if memory.shape != (2 * HIDDEN + CONTEXT,):
            raise ValueError(
                f"the detector's state of a stream has {2 * HIDDEN + CONTEXT} numbers, not {memory.shape}"
            )
        kept = torch.tensor(memory, device=self._network.device)
        self._state[:, row] = kept[: 2 * HIDDEN].view(2, HIDDEN)
        self._context[row] = kept[2 * HIDDEN :]

    @torch.inference_mode()
    def advance(self, rows: NDArray[np.int64], hops: Samples, rounds: list[int]) -> Probs:
        """Feed each row its hops: all are encoded together, and what needs the state runs round by round.

        rows: int64 (m,), those with most hops first
        hops: float32 (n, 512), the first hop of every row, then the second of those that have one, …
        rounds: how many rows have a first hop, a second, …; sums up to n
        returns: probabilities float32 (n,), in the order of the hops
        """
        index = torch.from_numpy(rows).to(self._network.device)
        state, context = self._state.index_select(1, index), self._context.index_select(0, index)
        samples = self._upload(hops)
        tails = [context, *(hop[:, -CONTEXT:] for hop in torch.split(samples, rounds))]
        before = torch.cat([tail[:active] for tail, active in zip(tails, rounds, strict=False)])
        features = self._network.encode(torch.cat([before, samples], 1))
        probs = []
        for round_features, tail in zip(torch.split(features, rounds), tails[1:], strict=True):
            active = len(tail)
            judged, state[:, :active] = self._network.decode(round_features, state[:, :active])
            context[:active] = tail
            probs.append(judged)
        self._state.index_copy_(1, index, state)
        self._context.index_copy_(0, index, context)
        return torch.cat(probs).cpu().numpy()

    def _upload(self, hops: Samples) -> Tensor:
        staged = torch.from_numpy(hops)
        if self._network.device.type == "cpu":
            return staged
        return staged.pin_memory().to(self._network.device, non_blocking=True)


def package_file() -> Path:
    """Return the path of the released network in the package silero-vad, as TorchScript.

    The package is not imported, as that would set torch to one thread in the whole process.

    Raises SileroError.
    """
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise SileroError("the package silero-vad is not installed")
    return Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.jit"


def released_weights() -> Weights:
    """Return the weights of the 16 kHz network. The package's safetensors file holds another network.

    Raises SileroError.
    """
    weights = torch.jit.load(package_file(), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    ours = (name for name in weights if name.startswith("_model."))
    return {name.removeprefix("_model."): weights[name].detach() for name in ours}


def use_one_thread() -> None:
    """Limit torch to one thread in the whole process: on a busy machine several would wait for each other."""
    torch.set_num_threads(1)


def pick_device() -> torch.device:
    """Return a GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pick_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 on CPUs that multiply it in hardware, else float32: launches limit a GPU anyway."""
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    fast = capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
    return torch.bfloat16 if fast else torch.float32


def _check_spectra(basis: Tensor) -> None:
    """Check that the first layer (258, 1, 256) is a Fourier transform under a Hann window.

    Raises SileroError.
    """
    impulses = torch.diag(torch.hann_window(FRAME, dtype=torch.float64))
    spectra = torch.fft.rfft(impulses)
    expected = torch.cat([spectra.real, spectra.imag], 1).t()
    if not torch.allclose(basis[:, 0].double(), expected, atol=1e-6):
        raise SileroError("this release of silero-vad computes its spectra differently and is not supported")


def _unrolled(kernel: Tensor, frames: int, centres: list[int]) -> Tensor:
    """Return a convolution over few frames as one matrix (frames * inputs, len(centres) * outputs).

    kernel: (outputs, inputs, 3)
    centres: the frame at the middle of the kernel, of each frame that comes out; frames outside are zero
    """
    outputs, inputs, taps = kernel.shape
    matrix = kernel.new_zeros(frames, inputs, len(centres), outputs)
    for out, centre in enumerate(centres):
        for tap in range(taps):
            frame = centre + tap - taps // 2
            if 0 <= frame < frames:
                matrix[frame, :, out] = kernel[:, :, tap].t()
    return matrix.view(frames * inputs, len(centres) * outputs)


def _lstm_matrix(weights: Weights) -> Tensor:
    """Return the matrix (256, 512) from features and hidden state to the four gates."""
    both = torch.cat([weights["decoder.rnn.weight_ih"], weights["decoder.rnn.weight_hh"]], 1)
    return _tanh_last(both).t()


def _tanh_last(gates: Tensor) -> Tensor:
    """Reorder the rows of the gates input, forget, cell, output: the three with a sigmoid come first."""
    update, forget, cell, output = gates.chunk(4)
    return torch.cat([update, forget, output, cell])
