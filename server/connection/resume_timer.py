"""Patience: how long a session waits for a client that was cut off."""

import asyncio
from collections.abc import Callable


class ResumeTimer:
    """seconds: 0 for none at all"""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_gone = False  # nobody is waited for any more
        self._timer: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()  # of one of both: somebody came back, or is waited for no longer

    def begin(self, worn_out: Callable[[], None]) -> bool:
        """worn_out: called once the seconds have passed and nobody came. False if it has begun already."""
        if self._timer is not None:
            return False
        self._timer = asyncio.get_running_loop().call_later(self.seconds, self._wear_out, worn_out)
        return True

    def end(self) -> None:
        """Somebody came back, or nobody needs to. Idempotent."""
        self._news.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def lose(self) -> None:
        """Nobody is waited for any more."""
        self.is_gone = True
        self._news.set()

    async def outlast(self, is_there: Callable[[], bool]) -> None:
        """Waits until somebody is there, or is not waited for."""
        while not is_there() and not self.is_gone:
            self._news.clear()
            await self._news.wait()

    def _wear_out(self, worn_out: Callable[[], None]) -> None:
        worn_out()
        self.lose()
