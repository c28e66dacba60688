"""Compute Silero's voice activity network on a GPU with torch, with a row of state for each stream."""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio.clip import Samples
from vad.silero_weights import (
    BINS,
    CONTEXT,
    FRAME,
    FRAMES,
    HIDDEN,
    MAX_AMPLITUDE,
    PAD,
    STRIDE,
    WINDOW,
    Array,
    SileroMatrices,
    released_weights,
    split_state,
)


class TorchSilero:
    """Compute speech probabilities of 32 ms each, for any number of streams at once, each in its own row.

    The counterpart of NumpySilero for a GPU: float32, as the launches limit it and not the arithmetic.

    device: cuda:0 …; on a CPU it is tested against the other
    """

    def __init__(self, device: torch.device, matrices: SileroMatrices | None = None) -> None:
        """Use the released network, or other weights. Raises SileroError."""

        def place(array: Array) -> Tensor:
            return torch.from_numpy(np.array(array)).to(device)

        m = SileroMatrices.of(released_weights()) if matrices is None else matrices
        self.device = device
        mirrored = torch.arange(WINDOW - 2, WINDOW - 2 - PAD, -1)
        self._padded = torch.cat([torch.arange(WINDOW), mirrored]).to(device)
        self._hann = place(m.hann)
        self._conv0, self._bias0 = place(np.stack(m.conv0)), place(m.bias0)
        self._conv1 = place(m.conv1[0]), place(m.conv1[1])
        self._bias1 = place(m.bias1)
        self._conv2, self._bias2 = place(m.conv2), place(m.bias2)
        self._conv3, self._bias3 = place(m.conv3), place(m.bias3)
        self._lstm, self._lstm_bias = place(m.lstm), place(m.lstm_bias)
        self._out, self._out_bias = place(m.out), m.out_bias

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
        bands = self._spectra(window).unfold(1, (FRAMES - 1) * BINS, BINS).transpose(0, 1)
        left, right = torch.bmm(bands, self._conv0).add_(self._bias0).relu_().unbind()
        x = torch.addmm(self._bias1, left, self._conv1[0])
        x[:, -self._conv1[1].shape[1] :].addmm_(right, self._conv1[1])
        x = torch.addmm(self._bias2, x.relu_(), self._conv2).relu_()
        return torch.addmm(self._bias3, x, self._conv3).relu_()

    @torch.inference_mode()
    def decode(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the rest of `step`: from features (B, 128) and state, probabilities and the next state."""
        gates = torch.addmm(self._lstm_bias, torch.cat([features, state[0]], 1), self._lstm).tanh_()
        update, forget, output = gates[:, : 3 * HIDDEN].mul_(0.5).add_(0.5).chunk(3, 1)
        following = torch.empty_like(state)
        hidden, cell = following.unbind()
        torch.mul(forget, state[1], out=cell).addcmul_(update, gates[:, 3 * HIDDEN :])
        torch.tanh(cell, out=hidden).mul_(output)
        return (hidden.relu() @ self._out).add_(self._out_bias).sigmoid_(), following

    def _spectra(self, window: Tensor) -> Tensor:
        """Return the magnitudes (B, 4 * 129) of the windows, reflected at their end."""
        loud = window.clamp(-MAX_AMPLITUDE, MAX_AMPLITUDE)
        frames = loud.index_select(1, self._padded).unfold(1, FRAME, STRIDE)
        parts = torch.view_as_real(torch.fft.rfft(frames * self._hann)).square()
        return torch.add(parts[..., 0], parts[..., 1]).sqrt_().view(-1, FRAMES * BINS)


class TorchStates:
    """Hold a row of state for each of many streams between hops: the StateTable of a GPU."""

    def __init__(self, network: TorchSilero) -> None:
        self.network = network
        self._state = torch.zeros(2, 0, HIDDEN, device=network.device)
        self._context = torch.zeros(0, CONTEXT, device=network.device)

    @classmethod
    def load(cls, device: str) -> Self:
        """Load the released network. Raises SileroError.

        device: cuda, cuda:0 …
        """
        return cls(TorchSilero(torch.device(device)))

    @property
    def device(self) -> str:
        """The device on which the network runs."""
        return str(self.network.device)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._context)

    def grow(self, rows: int) -> None:
        """Add rows of zeros up to this number; existing rows keep their state."""
        more = rows - len(self)
        self._state = torch.nn.functional.pad(self._state, (0, 0, 0, more))
        self._context = torch.nn.functional.pad(self._context, (0, 0, 0, more))

    def read(self, row: int) -> Samples:
        """Return a copy of a row: float32 (320,), the recurrent state and the context."""
        kept = torch.cat([self._state[:, row].flatten(), self._context[row]])
        memory: Samples = kept.cpu().numpy()
        return memory

    def write(self, rows: NDArray[np.int64], memory: Samples) -> None:
        """Set each of the rows to what `read` returned. Raises ValueError for another shape."""
        device, (state, context) = self.network.device, split_state(memory)
        index = torch.from_numpy(rows).to(device)
        self._state[:, index] = torch.tensor(state, device=device)[:, None]
        self._context[index] = torch.tensor(context, device=device)

    @torch.inference_mode()
    def advance(self, rows: NDArray[np.int64], hops: Samples, rounds: list[int]) -> Array:
        """Feed each row its hops: all are encoded together, and what needs the state runs round by round.

        rows: int64 (m,), those with most hops first
        hops: float32 (n, 512), the first hop of every row, then the second of those that have one, …
        rounds: how many rows have a first hop, a second, …; sums up to n
        returns: probabilities float32 (n,), in the order of the hops
        """
        index = torch.from_numpy(rows).to(self.network.device)
        state, context = self._state.index_select(1, index), self._context.index_select(0, index)
        samples = self._upload(hops)
        tails = [context, *(hop[:, -CONTEXT:] for hop in torch.split(samples, rounds))]
        before = torch.cat([tail[:active] for tail, active in zip(tails, rounds, strict=False)])
        features = self.network.encode(torch.cat([before, samples], 1))
        probabilities = []
        for round_features, tail in zip(torch.split(features, rounds), tails[1:], strict=True):
            active = len(tail)
            judged, state[:, :active] = self.network.decode(round_features, state[:, :active])
            context[:active] = tail
            probabilities.append(judged)
        self._state.index_copy_(1, index, state)
        self._context.index_copy_(0, index, context)
        return torch.cat(probabilities).cpu().numpy()

    def _upload(self, hops: Samples) -> Tensor:
        staged = torch.from_numpy(hops)
        if self.network.device.type == "cpu":
            return staged
        return staged.pin_memory().to(self.network.device, non_blocking=True)
