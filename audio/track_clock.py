"""Place the frames of a track on the clock of a player. Pure."""

from typing import Final

JITTER: Final = 0.05  # seconds: smaller gaps between timestamps are not filled
MAX_GAP: Final = 3_600.0  # seconds: a longer gap is taken for an error of the timestamps
RESTART: Final = 1.0  # seconds: timestamps that go back further begin a new recording


class TrackClock:
    """Say how much silence belongs before each frame of a track.

    No sound is left out: frames that overlap are played one after the other, and timestamps that go back, as
    where recordings were joined, continue at the present position.

    skipped: seconds of all gaps that are too long to be filled
    """

    def __init__(self, origin: float | None) -> None:
        """Begin at the timestamp `origin`, in seconds; None for that of the first frame."""
        self.skipped = 0.0
        self._origin = origin  # the timestamp of position 0

    def gap(self, timestamp: float, position: float) -> float:
        """Return the seconds of silence before the frame with this timestamp.

        position: seconds of the track before the frame: the sound, and the silence so far
        """
        if self._origin is None:
            self._origin = timestamp - position
        ahead = timestamp - self._origin - position
        if -RESTART <= ahead <= JITTER:
            return 0.0
        if 0 < ahead <= MAX_GAP:
            return ahead
        self.skipped += max(ahead, 0.0)
        self._origin = timestamp - position
        return 0.0
