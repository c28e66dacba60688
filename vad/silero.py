"""Silero: the voice activity network of Silero v6 at 16 kHz, and StateTable: its state, a row per stream."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio.clip import HOP, Samples

CONTEXT: Final = 64  # samples of the hop before that the network sees again
WINDOW: Final = CONTEXT + HOP
HIDDEN: Final = 128  # width of the recurrent state

FRAME: Final = 256  # samples of one short-time spectrum
STRIDE: Final = 128
PAD: Final = 64  # samples mirrored at the end of a window
FRAMES: Final = 4  # spectra of one window
BINS: Final = FRAME // 2 + 1

LOUDEST: Final = 1e6  # full scales; samples beyond it count as it, as squares near 1e38 would leave no number
HEIGHTS: Final = ((4, 1), (64, 8), (256, 32), (1 << 62, 128))  # up to so many rows, the step between heights
BLOCK: Final = 128  # rows encoded together on a processor, so that what is between the layers stays in cache

Probs = NDArray[np.float32]
Dtype = Literal["auto", "float32", "bfloat16"]
Weights = dict[str, Tensor]


class SileroError(RuntimeError):
    """The released network is not there, or is not the one this module computes."""


class Silero:
    """Where the speech is, 32 ms at a time; for any number of streams at once, each row on its own.

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
        """The released network.

        device: cpu, cuda, cuda:0 …; auto: a GPU where there is one
        dtype: auto: bfloat16 on processors that multiply it in hardware, else float32
        Raises SileroError where the package silero-vad is missing or holds another network.
        """
        place = pick_device() if device == "auto" else torch.device(device)
        return cls(released_weights(), place, pick_dtype(place) if dtype == "auto" else getattr(torch, dtype))

    def warm_up(self) -> None:
        """Builds what is built on first use. On a processor that is something for each height: 3 ms and 4 MB,
        which the first streams would pay for, and by which memory would grow for hours as rare heights come.
        """
        for height in _heights() if self.device.type == "cpu" else [1]:
            window = torch.zeros(height, WINDOW, device=self.device)
            self.step(window, torch.zeros(2, height, HIDDEN, device=self.device))

    @torch.inference_mode()
    def step(self, window: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Judges one window of each stream. Pure; rows independent, whatever finite samples they hold.

        window: float32 (B, 576), the last 64 samples of the hop before (zeros at the start), then the hop
        state: float32 (2, B, 128), zeros at the start
        returns: probabilities of speech float32 (B,), and the next state
        """
        return self.decode(self.encode(window), state)

    @torch.inference_mode()
    def encode(self, window: Tensor) -> Tensor:
        """The part of `step` that needs no state: features (B, 128) of windows (B, 576)."""
        blocks = torch.split(window, BLOCK) if self.device.type == "cpu" else (window,)
        return torch.cat([self._convolve(self._spectra(block)) for block in blocks])

    @torch.inference_mode()
    def decode(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The rest of `step`: features (B, 128) and state to probabilities and the next state."""
        inputs = torch.cat([features, state[0].to(self.dtype)], 1)
        gates = torch.addmm(self._lstm_bias, self._filled_up(inputs), self._lstm)[: len(inputs)].float()
        update, forget, output = gates[:, : 3 * HIDDEN].sigmoid_().chunk(3, 1)
        following = torch.empty_like(state)
        hidden, cell = following.unbind()
        torch.mul(forget, state[1], out=cell).addcmul_(update, gates[:, 3 * HIDDEN :].tanh_())
        torch.tanh(cell, out=hidden).mul_(output)
        return torch.addmv(self._out_bias, hidden.relu(), self._out).sigmoid_(), following

    def _spectra(self, window: Tensor) -> Tensor:
        """Magnitudes (B, 4 * 129) of the windows, reflected at their end."""
        loud = window.clamp(-LOUDEST, LOUDEST)
        frames = loud.index_select(1, self._padded).unfold(1, FRAME, STRIDE)
        parts = torch.view_as_real(torch.fft.rfft(frames * self._hann)).square()
        # The square root of a sum, as abs() is several times slower on complex numbers.
        magnitudes = torch.add(parts[..., 0], parts[..., 1]).sqrt_()
        return magnitudes.to(self.dtype).view(-1, FRAMES * BINS)

    def _convolve(self, spectra: Tensor) -> Tensor:
        """Features (B, 128) of the spectra."""
        count, spectra = len(spectra), self._filled_up(spectra)
        bands = spectra.unfold(1, 3 * BINS, BINS).transpose(0, 1)
        left, right = torch.bmm(bands, self._conv0).add_(self._bias0).relu_().unbind()
        x = torch.addmm(self._bias1, left, self._conv1[0])
        x[:, self._narrow :].addmm_(right, self._conv1[1])
        x = torch.addmm(self._bias2, x.relu_(), self._conv2).relu_()
        return torch.addmm(self._bias3, x, self._conv3)[:count].relu_()

    def _filled_up(self, rows: Tensor) -> Tensor:
        """With rows of zeros to one of few heights: for each that a product meets on a processor oneDNN keeps
        what it has built, more than a megabyte, so that memory would grow as long as new ones come."""
        step = next(step for most, step in HEIGHTS if len(rows) <= most)
        missing = -len(rows) % step if self.device.type == "cpu" else 0
        return torch.nn.functional.pad(rows, (0, 0, 0, missing)) if missing else rows


def _heights() -> Iterator[int]:
    """Those of HEIGHTS, but for the last, which only one product meets."""
    first = 1
    for most, step in HEIGHTS[:-1]:
        yield from range(-(-first // step) * step, most + 1, step)
        first = most + 1


class StateTable:
    """A row of state for each of many streams, on the network's device: what is kept between hops."""

    def __init__(self, network: Silero) -> None:
        self._network = network
        self._state = torch.zeros(2, 0, HIDDEN, device=network.device)
        self._context = torch.zeros(0, CONTEXT, device=network.device)

    def __len__(self) -> int:
        """Rows."""
        return len(self._context)

    def grow(self, rows: int) -> None:
        """Adds rows of zeros up to so many; those that are there keep their state."""
        more = rows - len(self)
        self._state = torch.nn.functional.pad(self._state, (0, 0, 0, more))
        self._context = torch.nn.functional.pad(self._context, (0, 0, 0, more))

    def reset(self, rows: NDArray[np.int64]) -> None:
        """Takes rows back to the start of a stream."""
        index = torch.from_numpy(rows).to(self._network.device)
        self._state.index_fill_(1, index, 0.0)
        self._context.index_fill_(0, index, 0.0)

    def read(self, row: int) -> Samples:
        """A copy of a row: float32 (320,), the recurrent state and the context."""
        kept = torch.cat([self._state[:, row].flatten(), self._context[row]])
        memory: Samples = kept.cpu().numpy()
        return memory

    def write(self, row: int, memory: Samples) -> None:
        """Makes a row what `read` gave. Raises ValueError for what it did not give."""
        if memory.shape != (2 * HIDDEN + CONTEXT,):
            raise ValueError(f"a stream's memory has {2 * HIDDEN + CONTEXT} numbers, not {memory.shape}")
        kept = torch.tensor(memory, device=self._network.device)
        self._state[:, row] = kept[: 2 * HIDDEN].view(2, HIDDEN)
        self._context[row] = kept[2 * HIDDEN :]

    @torch.inference_mode()
    def advance(self, rows: NDArray[np.int64], hops: Samples, rounds: list[int]) -> Probs:
        """Feeds each row its hops. All hops are encoded together; what needs the state goes round by round.

        rows: int64 (m,), those with most hops first
        hops: float32 (n, 512), the first hop of every row, then the second of those that have one, …
        rounds: how many rows have a first hop, a second, …; sums up to n
        returns: probabilities float32 (n,), in the order of the hops
        """
        index = torch.from_numpy(rows).to(self._network.device)
        state, context = self._state.index_select(1, index), self._context.index_select(0, index)
        sound = self._upload(hops)
        tails = [context, *(hop[:, -CONTEXT:] for hop in torch.split(sound, rounds))]
        before = torch.cat([tail[:active] for tail, active in zip(tails, rounds, strict=False)])
        features = self._network.encode(torch.cat([before, sound], 1))
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
    """The released network in the package silero-vad, as TorchScript. Raises SileroError.

    Found without importing the package, which would set torch to one thread in the whole process.
    """
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise SileroError("the package silero-vad is not installed")
    return Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.jit"


def released_weights() -> Weights:
    """Weights of the 16 kHz network. Those in the package's safetensors file are another network's.

    Raises SileroError.
    """
    weights = torch.jit.load(package_file(), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    ours = (name for name in weights if name.startswith("_model."))
    return {name.removeprefix("_model."): weights[name].detach() for name in ours}


def use_one_thread() -> None:
    """Holds torch to one thread in the whole process: on a busy machine more of them wait for each other."""
    torch.set_num_threads(1)


def pick_device() -> torch.device:
    """A GPU where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pick_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on processors that multiply it in hardware, else float32: a GPU waits for launches anyway."""
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    fast = capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
    return torch.bfloat16 if fast else torch.float32


def _check_spectra(basis: Tensor) -> None:
    """Raises SileroError unless the first layer (258, 1, 256) is a Fourier transform under a Hann window."""
    impulses = torch.diag(torch.hann_window(FRAME, dtype=torch.float64))
    spectra = torch.fft.rfft(impulses)
    expected = torch.cat([spectra.real, spectra.imag], 1).t()
    if not torch.allclose(basis[:, 0].double(), expected, atol=1e-6):
        raise SileroError("this release of silero-vad computes its spectra in another way")


def _unrolled(kernel: Tensor, frames: int, centres: list[int]) -> Tensor:
    """A convolution over few frames as one matrix (frames * inputs, len(centres) * outputs).

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
    """(256, 512): from features and hidden state to the four gates."""
    both = torch.cat([weights["decoder.rnn.weight_ih"], weights["decoder.rnn.weight_hh"]], 1)
    return _tanh_last(both).t()


def _tanh_last(gates: Tensor) -> Tensor:
    """Rows of the gates input, forget, cell, output, in another order: the three with a sigmoid together."""
    update, forget, cell, output = gates.chunk(4)
    return torch.cat([update, forget, output, cell])
