"""Controls: what a client asks for takes effect at the sample at which it was asked."""

from collections import deque
from collections.abc import Callable
from typing import Final

from audio.clip import HOP

Action = Callable[[int], None]

SLACK: Final = HOP  # samples; an action is due once no whole hop before its place is left to judge


class CommandQueue:
    """Actions that wait for their place, in order. Bounded by the pump, which lets in only so many."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Action]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, at: int, action: Action) -> None:
        """action: called with `at`, a sample of the stream no earlier than those before it."""
        self._waiting.append((at, action))

    def run(self, judged: Callable[[], int]) -> None:
        """Runs what is due. judged: samples judged so far."""
        while self._waiting and self._waiting[0][0] - judged() < SLACK:
            at, action = self._waiting.popleft()
            action(at)
