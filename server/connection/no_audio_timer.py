"""Notice that a connected client has stopped sending audio."""

import asyncio
from collections.abc import Callable
from typing import Final

from audio.clip import seconds_from_samples

CHECKS: Final = 4  # checks without audio that make up the time of the setting
MAX_BURST_SECONDS: Final = 10.0  # longest time between two bursts of audio that is waited for in addition


class AudioGap:
    """Judge from regular checks whether a client has stopped sending audio.

    Checks are counted, not seconds: a server that hangs for a while makes no checks meanwhile, and does not
    take its own delay for the client's silence. A client that sends its audio in bursts (5 s of audio every
    5 s) has not stopped before its next burst is overdue.

    interval: seconds between two checks
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._received = 0  # samples
        self._quiet = 0  # checks since the latest audio
        self._limit = float(CHECKS)
        self._is_pending = False  # audio came, and the gap after it has not been reported

    def check(self, received: int, is_reading: bool) -> bool:
        """Return True once for each gap, when it has lasted long enough.

        received: samples received so far
        is_reading: whether every received message has been handled and the next one is awaited
        """
        if received != self._received:
            burst = min(seconds_from_samples(received - self._received), MAX_BURST_SECONDS)
            self._limit = CHECKS + min(burst / self._interval, self._quiet)
            self._received, self._quiet, self._is_pending = received, 0, True
            return False
        self._quiet = self._quiet + 1 if is_reading else 0
        if not self._is_pending or self._quiet < self._limit:
            return False
        self._is_pending = False
        return True


class NoAudioTimer:
    """Call back when a client sends no audio for `seconds`, at most a quarter later; 0 disables it."""

    def __init__(self, seconds: float) -> None:
        self._interval = seconds / CHECKS
        self._timer: asyncio.TimerHandle | None = None

    def start(self, observe: Callable[[], tuple[int, bool]], expired: Callable[[], None]) -> None:
        """Begin to check, or begin anew for another connection of the client.

        observe: returns the samples received so far, and whether the next message is awaited
        expired: called once for each gap
        """
        self.stop()
        if self._interval > 0:
            self._wait(AudioGap(self._interval), observe, expired)

    def stop(self) -> None:
        """Stop checking. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(
        self, gap: AudioGap, observe: Callable[[], tuple[int, bool]], expired: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._interval, self._check, gap, observe, expired)

    def _check(
        self, gap: AudioGap, observe: Callable[[], tuple[int, bool]], expired: Callable[[], None]
    ) -> None:
        self._wait(gap, observe, expired)
        if gap.check(*observe()):
            expired()
