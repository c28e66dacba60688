"""Compute Silero's voice activity network on a CPU with numpy, with a row of state for each stream.

Few streams are judged about twice as fast as by torch, hundreds about a fifth slower (bench/results.md), and
the process needs neither torch's 2.5 s of import nor its 200 MB (docs/decisions/0016).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

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

BLOCK: Final = 64  # windows encoded together, so that intermediate results stay in the processor's cache
SIGMOIDS: Final = 3 * HIDDEN  # columns of the gates under a sigmoid
HALF: Final = np.float32(0.5)


class NumpySilero:
    """Compute speech probabilities of 32 ms each, for any number of streams at once, each in its own row."""

    device: Final = "cpu"

    def __init__(self, matrices: SileroMatrices | None = None) -> None:
        """Use the released network, or other weights. Raises SileroError."""
        self._matrices = SileroMatrices.of(released_weights()) if matrices is None else matrices

    def step(self, window: Array, state: Array) -> tuple[Array, Array]:
        """Judge one window of each stream. Pure; rows are independent, whatever finite samples they hold.

        window: float32 (B, 576), the last 64 samples of the hop before (zeros at the start), then the hop
        state: float32 (2, B, 128), zeros at the start
        returns: probabilities of speech float32 (B,), and the next state
        """
        return self.decode(self.encode(window), state)

    def encode(self, window: Array) -> Array:
        """Compute the part of `step` that needs no state: features (B, 128) of windows (B, 576)."""
        if len(window) <= BLOCK:
            return self._encode(window)
        return np.concatenate([self._encode(window[i : i + BLOCK]) for i in range(0, len(window), BLOCK)])

    def decode(self, features: Array, state: Array) -> tuple[Array, Array]:
        """Compute the rest of `step`: from features (B, 128) and state, probabilities and the next state."""
        m = self._matrices
        gates = np.concatenate([features, state[0]], 1) @ m.lstm
        gates += m.lstm_bias
        np.tanh(gates, out=gates)
        sigmoids = gates[:, :SIGMOIDS]
        sigmoids *= HALF
        sigmoids += HALF
        following = np.empty_like(state)
        hidden, cell = following
        np.multiply(sigmoids[:, HIDDEN : 2 * HIDDEN], state[1], out=cell)
        cell += sigmoids[:, :HIDDEN] * gates[:, SIGMOIDS:]
        np.tanh(cell, out=hidden)
        hidden *= sigmoids[:, 2 * HIDDEN :]
        logits = np.maximum(hidden, 0) @ m.out
        logits += np.float32(m.out_bias)
        return HALF * np.tanh(HALF * logits) + HALF, following

    def _encode(self, window: Array) -> Array:
        m, spectra = self._matrices, self._spectra(window)
        third = (FRAMES - 1) * BINS
        left = _layer(spectra[:, :third], m.conv0[0], m.bias0)
        right = _layer(spectra[:, BINS:], m.conv0[1], m.bias0)
        x = left @ m.conv1[0]
        x += m.bias1
        x[:, -m.conv1[1].shape[1] :] += right @ m.conv1[1]
        np.maximum(x, 0, out=x)
        return _layer(_layer(x, m.conv2, m.bias2), m.conv3, m.bias3)

    def _spectra(self, window: Array) -> Array:
        """Return the magnitudes (B, 4 * 129) of the windows, reflected at their end."""
        padded = np.empty((len(window), WINDOW + PAD), np.float32)
        np.clip(window, -MAX_AMPLITUDE, MAX_AMPLITUDE, out=padded[:, :WINDOW])
        padded[:, WINDOW:] = padded[:, WINDOW - 2 : WINDOW - 2 - PAD : -1]
        frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME, axis=1)[:, ::STRIDE]
        parts = np.fft.rfft(frames * self._matrices.hann).view(np.float32)
        np.square(parts, out=parts)
        # The square root of a sum: abs() of complex numbers is several times slower.
        magnitudes: Array = parts[..., 0::2] + parts[..., 1::2]
        np.sqrt(magnitudes, out=magnitudes)
        return magnitudes.reshape(len(window), FRAMES * BINS)


def _layer(x: Array, matrix: Array, bias: Array) -> Array:
    y: Array = x @ matrix
    y += bias
    return np.maximum(y, 0, out=y)


class NumpyStates:
    """Hold a row of state for each of many streams between hops: the StateTable of a CPU."""

    def __init__(self, network: NumpySilero) -> None:
        self.network = network
        self._state = np.zeros((2, 0, HIDDEN), np.float32)
        self._context = np.zeros((0, CONTEXT), np.float32)

    @property
    def device(self) -> str:
        """The device on which the network runs."""
        return self.network.device

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._context)

    def grow(self, rows: int) -> None:
        """Add rows of zeros up to this number; existing rows keep their state."""
        more = rows - len(self)
        self._state = np.pad(self._state, ((0, 0), (0, more), (0, 0)))
        self._context = np.pad(self._context, ((0, more), (0, 0)))

    def read(self, row: int) -> Samples:
        """Return a copy of a row: float32 (320,), the recurrent state and the context."""
        return np.concatenate([self._state[:, row].ravel(), self._context[row]])

    def write(self, rows: NDArray[np.int64], memory: Samples) -> None:
        """Set each of the rows to what `read` returned. Raises ValueError for another shape."""
        state, self._context[rows] = split_state(memory)
        self._state[:, rows] = state[:, None]

    def advance(self, rows: NDArray[np.int64], hops: Samples, rounds: list[int]) -> Array:
        """Feed each row its hops: all are encoded together, and what needs the state runs round by round.

        rows: int64 (m,), those with most hops first
        hops: float32 (n, 512), the first hop of every row, then the second of those that have one, …
        rounds: how many rows have a first hop, a second, …; sums up to n
        returns: probabilities float32 (n,), in the order of the hops
        """
        state, context = self._state[:, rows], self._context[rows]
        window = np.empty((len(hops), WINDOW), np.float32)
        window[:, CONTEXT:] = hops
        tails, first = context, 0
        for active in rounds:
            window[first : first + active, :CONTEXT] = tails[:active]
            tails = hops[first : first + active, -CONTEXT:]
            context[:active] = tails
            first += active
        features = self.network.encode(window)
        probabilities, first = np.empty(len(hops), np.float32), 0
        for active in rounds:
            end = first + active
            probabilities[first:end], state[:, :active] = self.network.decode(
                features[first:end], state[:, :active]
            )
            first = end
        self._state[:, rows] = state
        self._context[rows] = context
        return probabilities
