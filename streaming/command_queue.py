"""Hold the client's commands until the stream has been judged up to the sample at which they were given."""

from collections import deque
from collections.abc import Callable
from typing import Final

from audio.clip import HOP

Action = Callable[[int], None]

SLACK: Final = HOP  # samples; an action is due once no whole hop before its place is left to judge


class CommandQueue:
    """Run actions in order, each at its place. The driver limits how many wait.

    waiting: pairs of a sample and the action that is due there
    """

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, Action]] = deque()

    def add(self, at: int, action: Action) -> None:
        """Queue an action, called with `at`: a sample of the stream, no earlier than those before it."""
        self.waiting.append((at, action))

    def run(self, judged: Callable[[], int]) -> None:
        """Run the actions that are due; `judged` returns the number of samples judged so far."""
        while self.waiting and self.waiting[0][0] - judged() < SLACK:
            at, action = self.waiting.popleft()
            action(at)
