"""Accounts: what each key has open, and how much sound it has sent within the hour."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Final

from audio.clip import SAMPLE_RATE, seconds_from_samples
from server.admission.retry_after import RetryAfterEstimate
from server.auth.api_keys import ApiKey, Principal
from server.errors import ClientError, rate_limited, session_limit_reached

HOUR: Final = 3600.0
GRAIN: Final = 60.0  # seconds that are added up to one
CHECK_EVERY: Final = SAMPLE_RATE
FAR: Final = 1.5  # times what a key may have, at which what runs is ended too


class SlidingHour:
    """Seconds of sound within the last hour, or up to a minute longer: never less than there was."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._grains: deque[tuple[float, float]] = deque()  # when each is over, and its seconds; at most 62

    def add(self, seconds: float, now: float) -> None:
        over = (now // GRAIN + 1) * GRAIN + HOUR
        before = self._grains.pop()[1] if self._grains and self._grains[-1][0] == over else 0.0
        self._grains.append((over, before + seconds))
        self.seconds += seconds
        self.forget(now)

    def forget(self, now: float) -> None:
        if self._grains and self._grains[0][0] <= now:
            while self._grains and self._grains[0][0] <= now:
                self._grains.popleft()
            self.seconds = sum(seconds for _, seconds in self._grains)

    def wait(self, bound: float, now: float) -> float:
        """Seconds until there are fewer than so many, if none are added."""
        left, wait = self.seconds, 0.0
        for over, seconds in self._grains:
            if left < bound:
                break
            left, wait = left - seconds, over - now
        return wait


class KeyUsage:
    """Of one key. clock: seconds"""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.open = 0
        self.turnover = RetryAfterEstimate(clock)
        self._clock = clock
        self._hour = SlidingHour()

    def charge(self, seconds: float) -> None:
        self._hour.add(seconds, self._clock())

    def refusal(self, key: ApiKey) -> ClientError | None:
        """Why nothing more may begin."""
        if key.max_sessions is not None and self.open >= key.max_sessions:
            return session_limit_reached(key.max_sessions, self.turnover.expected())
        return self.exceeded(key, 1.0)

    def exceeded(self, key: ApiKey, times: float) -> ClientError | None:
        """Whether it has had so many times the sound that it may have."""
        if key.audio_seconds_per_hour is None:
            return None
        now, most = self._clock(), key.audio_seconds_per_hour
        self._hour.forget(now)
        if self._hour.seconds < times * most:
            return None
        message = f"This key has sent the {most:g} s of sound that it may send in an hour."
        return rate_limited(message, self._hour.wait(most, now))


class UsageMeter:
    """Count the audio of one stream. account, key: None where nothing is counted.

    next_check: number of received samples from which on `check` has something to do; infinity for never
    """

    def __init__(self, account: KeyUsage | None = None, key: ApiKey | None = None) -> None:
        self._account = account
        self._key = key
        self._counted = 0  # samples
        self.next_check = inf if account is None or key is None else CHECK_EVERY

    def begin_at(self, received: int) -> None:
        """So many samples of the stream were counted before, by another server."""
        self._counted = received
        self.next_check += received

    def count(self, received: int) -> None:
        """received: samples of the stream so far"""
        if self._account is not None and received > self._counted:
            self._account.charge(seconds_from_samples(received - self._counted))
            self._counted = received

    def check(self, received: int) -> None:
        """The same now and then. Raises ClientError where the key is so far beyond its bound that what runs
        ends too."""
        if self._account is not None and self._key is not None and received - self._counted >= CHECK_EVERY:
            self.count(received)
            self.next_check = received + CHECK_EVERY
            exceeded = self._account.exceeded(self._key, FAR)
            if exceeded is not None:
                raise exceeded


class Quotas:
    """By the names of keys, of which there are as many as there were keys since the start. clock: seconds"""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accounts: dict[str, KeyUsage] = {}
        self._tokens: Counter[str] = Counter()  # streams that are open with each

    def refusal(self, caller: Principal) -> ClientError | None:
        """Why it may begin nothing now."""
        if caller.key is None:
            return None
        account = self._of(caller.key)
        most = caller.token_sessions
        if caller.token is not None and most is not None and self._tokens[caller.token] >= most:
            return session_limit_reached(most, account.turnover.expected())
        return account.refusal(caller.key)

    @contextmanager
    def open(self, caller: Principal, *, anyway: bool = False) -> Iterator[UsageMeter]:
        """Counts a stream for as long as it lasts. Raises ClientError.

        anyway: it was let in before, by another server
        """
        refusal = None if anyway else self.refusal(caller)
        if refusal is not None:
            raise refusal
        if caller.key is None:
            yield UsageMeter()
            return
        account = self._of(caller.key)
        account.open += 1
        if caller.token is not None:
            self._tokens[caller.token] += 1
        try:
            yield UsageMeter(account, caller.key)
        finally:
            account.open -= 1
            account.turnover.freed()
            if caller.token is not None:
                self._tokens[caller.token] -= 1
                self._tokens += Counter()  # without those at zero

    def _of(self, key: ApiKey) -> KeyUsage:
        return self._accounts.setdefault(key.name, KeyUsage(self._clock))
