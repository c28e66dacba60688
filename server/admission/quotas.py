"""Count the open streams and the hourly audio of each key, and enforce its quotas."""

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

HOUR_SECONDS: Final = 3600.0
BUCKET_SECONDS: Final = 60.0
CHECK_SAMPLES: Final = SAMPLE_RATE  # between two checks of a running stream
HARD_LIMIT_RATIO: Final = 1.5  # multiple of the quota at which running streams are ended, too


class SlidingHour:
    """Sum the seconds of audio of the last hour, in buckets of a minute.

    A bucket expires as a whole, so the sum may include up to a minute more, but never less.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._buckets: deque[tuple[float, float]] = deque()  # expiry and seconds of audio; at most 62

    def add(self, seconds: float, now: float) -> None:
        """Add seconds of audio at the time `now`, in seconds."""
        expiry = (now // BUCKET_SECONDS + 1) * BUCKET_SECONDS + HOUR_SECONDS
        before = self._buckets.pop()[1] if self._buckets and self._buckets[-1][0] == expiry else 0.0
        self._buckets.append((expiry, before + seconds))
        self.seconds += seconds
        self.expire(now)

    def expire(self, now: float) -> None:
        """Remove the buckets that are older than an hour."""
        if self._buckets and self._buckets[0][0] <= now:
            while self._buckets and self._buckets[0][0] <= now:
                self._buckets.popleft()
            self.seconds = sum(seconds for _, seconds in self._buckets)

    def wait(self, bound: float, now: float) -> float:
        """Return the seconds until the sum is below `bound`, if nothing is added."""
        left, wait = self.seconds, 0.0
        for expiry, seconds in self._buckets:
            if left < bound:
                break
            left, wait = left - seconds, expiry - now
        return wait


class KeyUsage:
    """Hold the usage of one key.

    clock: returns the time, in seconds
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.open = 0
        self.retry_after = RetryAfterEstimate(clock)
        self._clock = clock
        self._hour = SlidingHour()

    def charge(self, seconds: float) -> None:
        """Count seconds of audio."""
        self._hour.add(seconds, self._clock())

    def refusal(self, key: ApiKey) -> ClientError | None:
        """Return why the key may open no stream now, or None if it may."""
        if key.max_sessions is not None and self.open >= key.max_sessions:
            return session_limit_reached(key.max_sessions, self.retry_after.expected())
        return self.exceeded(key, 1.0)

    def exceeded(self, key: ApiKey, times: float) -> ClientError | None:
        """Return an error if the audio of the last hour reached `times` the quota, else None."""
        if key.audio_seconds_per_hour is None:
            return None
        now, limit = self._clock(), key.audio_seconds_per_hour
        self._hour.expire(now)
        if self._hour.seconds < times * limit:
            return None
        message = f"This key has used its quota of {limit:g} s of audio per hour."
        return rate_limited(message, self._hour.wait(limit, now))


class UsageMeter:
    """Count the audio of one stream.

    usage, key: None if nothing is counted
    channels: number of channels that are kept apart; the audio of each counts
    next_check: number of received samples at which `check` is due; infinity for never
    """

    def __init__(self, usage: KeyUsage | None = None, key: ApiKey | None = None) -> None:
        self._usage = usage
        self._key = key
        self.channels = 1
        self._counted = 0  # samples
        self.next_check = inf if usage is None or key is None else CHECK_SAMPLES

    def start_at(self, received: int) -> None:
        """Skip the first samples of the stream, which another server process counted."""
        self._counted = received
        self.next_check += received

    def count(self, received: int) -> None:
        """Count the new audio.

        received: samples of the stream so far
        """
        if self._usage is not None and received > self._counted:
            self._usage.charge(self.channels * seconds_from_samples(received - self._counted))
            self._counted = received

    def check(self, received: int) -> None:
        """Count the new audio once CHECK_SAMPLES have come, and check the quota.

        Raises ClientError if the key exceeds its quota so far that running streams end, too.
        """
        if self._usage is not None and self._key is not None and received - self._counted >= CHECK_SAMPLES:
            self.count(received)
            self.next_check = received + CHECK_SAMPLES
            exceeded = self._usage.exceeded(self._key, HARD_LIMIT_RATIO)
            if exceeded is not None:
                raise exceeded


class Quotas:
    """Hold the usage of all keys by name.

    An entry is kept until the process ends; there are as many as there were keys.

    clock: returns the time, in seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._usages: dict[str, KeyUsage] = {}
        self._tokens: Counter[str] = Counter()  # open streams by token id

    def refusal(self, caller: Principal) -> ClientError | None:
        """Return why the caller may open no stream now, or None if it may."""
        if caller.key is None:
            return None
        usage = self._usage_of(caller.key)
        limit = caller.token_sessions
        if caller.token is not None and limit is not None and self._tokens[caller.token] >= limit:
            return session_limit_reached(limit, usage.retry_after.expected())
        return usage.refusal(caller.key)

    def charge(self, owner: str, seconds: float) -> None:
        """Count seconds of audio of the key with the name `owner`, which need no open stream."""
        self._usages.setdefault(owner, KeyUsage(self._clock)).charge(seconds)

    @contextmanager
    def open(self, caller: Principal, *, force: bool = False) -> Iterator[UsageMeter]:
        """Count a stream while the context lasts, and yield the meter of its audio.

        force: ignore the quotas, because another server process admitted the stream before

        Raises ClientError on entry if a quota is used up.
        """
        refusal = None if force else self.refusal(caller)
        if refusal is not None:
            raise refusal
        if caller.key is None:
            yield UsageMeter()
            return
        usage = self._usage_of(caller.key)
        usage.open += 1
        if caller.token is not None:
            self._tokens[caller.token] += 1
        try:
            yield UsageMeter(usage, caller.key)
        finally:
            usage.open -= 1
            usage.retry_after.freed()
            if caller.token is not None:
                self._tokens[caller.token] -= 1
                self._tokens += Counter()  # removes the entries that are zero

    def _usage_of(self, key: ApiKey) -> KeyUsage:
        return self._usages.setdefault(key.name, KeyUsage(self._clock))
