"""Wait for a client that was disconnected, for a limited time."""

import asyncio
from collections.abc import Callable


class ResumeTimer:
    """Limit how long a session waits for its client.

    seconds: 0 if the client cannot resume
    gave_up: the client is not waited for any more
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.gave_up = False
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()

    @property
    def may_wait(self) -> bool:
        """Whether a client that disconnects now is waited for."""
        return self.seconds > 0 and not self.gave_up

    def start(self, expired: Callable[[], None]) -> bool:
        """Begin to wait; return False if the timer runs already.

        expired: called if the client does not resume in time
        """
        if self._timer is not None:
            return False
        self._timer = asyncio.get_running_loop().call_later(self.seconds, self._expire, expired)
        return True

    def stop(self) -> None:
        """Stop the timer: the client resumed, or the session has ended. Idempotent."""
        self._changed.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def give_up(self) -> None:
        """Do not wait for the client from now on."""
        self.gave_up = True
        self._changed.set()

    async def wait(self, is_connected: Callable[[], bool]) -> None:
        """Wait until the client is connected or is not waited for any more."""
        while not is_connected() and not self.gave_up:
            self._changed.clear()
            await self._changed.wait()

    def _expire(self, expired: Callable[[], None]) -> None:
        expired()
        self.give_up()
