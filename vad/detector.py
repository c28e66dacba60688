"""Detect speech in many streams: one slot of state per stream, one step for all that have hops ready."""

from collections.abc import Sequence
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from audio.clip import HOP, Samples
from vad.detector_input import DetectorInput
from vad.silero_numpy import NumpySilero, NumpyStates
from vad.silero_weights import Array

ROWS_PER_GROWTH: Final = 256  # rows by which the table grows at a time
SCRATCH_ROW: Final = 0  # receives the state of streams that were closed
LEAD_HOPS: Final = 19  # 0.6 s of faint noise, heard before the first sample of every stream
LEAD_LEVEL: Final = 1e-4  # its RMS: -80 dBFS


class NoFreeSlot(RuntimeError):
    """The maximum number of streams is open."""


class StateTable(Protocol):
    """Hold a row of the network's state for each of many streams; NumpyStates and TorchStates say more."""

    @property
    def device(self) -> str: ...
    def __len__(self) -> int: ...
    def grow(self, rows: int) -> None: ...
    def read(self, row: int) -> Samples: ...
    def write(self, rows: NDArray[np.int64], memory: Samples) -> None: ...
    def advance(self, rows: NDArray[np.int64], hops: Samples, rounds: list[int]) -> Array: ...


class Detector:
    """Compute speech probabilities of many streams, each in a slot of its own.

    `open` and `close` are called from one thread (the event loop), `step` from one other; none of them waits.
    A slot's number is never used twice: inputs that come after their stream was closed go to a scratch row,
    and a stream starts from the same state whatever its row held before: the state after LEAD_HOPS of faint
    noise. From a state of zeros the network judges the first hops too low, and a word at the first sample is
    lost (docs/decisions/0023).

    table: states of the streams, with the network
    max_slots: streams that may be open at once; a row takes 1.3 KB, and rows are allocated when needed
    """

    def __init__(self, table: StateTable, max_slots: int = 4096) -> None:
        self._max_slots = max_slots
        self._free = list(range(max_slots - 1, -1, -1))
        # By place: the slot that holds it, or will hold it next. By row: the slot whose state it contains.
        self._owner = np.arange(max_slots, dtype=np.int64)
        self._written = np.full(max_slots + 1, -1, dtype=np.int64)
        self._table = table
        table.grow(SCRATCH_ROW + 1)
        table.advance(np.array([SCRATCH_ROW]), _faint_noise(), [1] * LEAD_HOPS)
        self._start = table.read(SCRATCH_ROW)

    @classmethod
    def load(cls, device: str = "cpu", max_slots: int = 4096) -> Self:
        """Load the released network: on a CPU with numpy, on a GPU with torch.

        device: cpu, cuda, cuda:0 …
        Raises SileroError.
        """
        table: StateTable
        if device == "cpu":
            table = NumpyStates(NumpySilero())
        else:
            from vad.silero_torch import TorchStates  # Imports torch: not needed without a GPU.

            table = TorchStates.load(device)
        return cls(table, max_slots)

    @property
    def device(self) -> str:
        """The device on which the network runs."""
        return self._table.device

    def __repr__(self) -> str:
        return f"<Detector open={len(self)} of {self._max_slots} rows={len(self._table)}>"

    def __len__(self) -> int:
        """Return the number of open slots."""
        return self._max_slots - len(self._free)

    def open(self) -> int:
        """Return a slot for a new stream. Raises NoFreeSlot."""
        if not self._free:
            raise NoFreeSlot(f"{self._max_slots} streams are open already")
        return int(self._owner[self._free.pop()])

    def close(self, slot: int) -> None:
        """Free a slot. Inputs of it that are still running or to come have no effect on other streams."""
        place = slot % self._max_slots
        assert self._owner[place] == slot, "a slot is closed once"
        self._owner[place] = slot + self._max_slots
        self._free.append(place)

    def step(self, work: Sequence[DetectorInput]) -> list[Array]:
        """Return speech probabilities, float32 (n,), for the n hops of each input, which has its own slot.

        For an input without hops the result is the detector's state of its stream, float32 (m,).

        The time grows with the number of all hops and with the largest number of one input: the caller bounds
        both.
        """
        if not work:
            return []
        rows = self._rows(work)
        for item, row in zip(work, rows.tolist(), strict=True):
            if item.state is not None:
                self._table.write(np.array([row]), item.state)
        has_hops = np.array([len(item.hops) > 0 for item in work])
        if has_hops.all():
            return self._judge(work, rows)
        judged = iter(self._judge([item for item in work if len(item.hops)], rows[has_hops]))
        return [next(judged) if has_hops[n] else self._table.read(int(row)) for n, row in enumerate(rows)]

    def _judge(self, work: Sequence[DetectorInput], rows: NDArray[np.int64]) -> list[Array]:
        if not work:
            return []
        counts = np.array([len(item.hops) for item in work])
        longest_first = np.argsort(-counts, kind="stable")
        rounds = [int(np.count_nonzero(counts > done)) for done in range(counts.max())]
        first = np.cumsum(counts) - counts
        by_round = np.concatenate([first[longest_first[:active]] + i for i, active in enumerate(rounds)])
        hops = np.concatenate([item.hops for item in work])[by_round]
        probs = np.empty(len(hops), dtype=np.float32)
        probs[by_round] = self._table.advance(rows[longest_first], hops, rounds)
        starts = first.tolist()
        return [probs[start:end] for start, end in zip(starts, [*starts[1:], len(probs)], strict=True)]

    def _rows(self, work: Sequence[DetectorInput]) -> NDArray[np.int64]:
        """Return the row of each input's stream; a row that is new to its stream is set to the start."""
        slots = np.array([item.slot for item in work])
        assert len(set(slots.tolist())) == len(slots), "one item per slot"
        places = slots % self._max_slots
        rows = np.where(self._owner[places] == slots, places + 1, SCRATCH_ROW)
        if rows.max() >= len(self._table):
            self._table.grow(
                min(-(-int(rows.max() + 1) // ROWS_PER_GROWTH) * ROWS_PER_GROWTH, self._max_slots + 1)
            )
        fresh = self._written[rows] != slots
        if fresh.any():
            self._table.write(rows[fresh], self._start)
            self._written[rows] = slots
        return rows


def _faint_noise() -> Samples:
    """Return white noise, float32 (LEAD_HOPS, 512), the same at each call."""
    noise: Samples = np.random.default_rng(0).standard_normal((LEAD_HOPS, HOP), np.float32)
    return noise * np.float32(LEAD_LEVEL)
