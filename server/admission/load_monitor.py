"""Steward: looks again and again how far behind recognition is, and lets the streams hear of it."""

import asyncio
import math
from collections.abc import Callable, Collection
from statistics import median_low
from typing import Final, Protocol

from server.admission.load_shedding import LoadShedder
from streaming.driver import StreamDriver

LOOK_SECONDS: Final = 0.5
TELL_EVERY: Final = 2  # looks


class RecognizerLoad(Protocol):
    """What is known of the recognizers. lag: seconds that finals wait for them now"""

    @property
    def lag(self) -> float: ...


class LoadMonitor:
    """pumps: those of live streams"""

    def __init__(
        self,
        overload: LoadShedder,
        recognizers: RecognizerLoad,
        pumps: Callable[[], Collection[StreamDriver]],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._overload = overload
        self._recognizers = recognizers
        self._pumps = pumps
        self._demand = DemandEstimate()
        self._received: dict[int, int] = {}  # samples of each pump at the last look, by its id
        self._quiet = 0  # streams of which nothing came since the look before
        self._look_seconds = look_seconds
        self._detector = 0.0

    def look(self) -> None:
        """Whoever is slower counts: finals wait for both."""
        demand = self._demand.share(max(0, len(self._pumps()) - self._quiet))
        self._overload.update(max(self._recognizers.lag, self._detector), demand)

    def look_at_streams(self) -> None:
        """The detector is behind by what the median of the live streams waits for it: so the sound that one
        of them has pushed in is no lag of ours."""
        pumps = self._pumps()
        self._detector = median_low(pump.lag for pump in pumps) if pumps else 0.0
        self._learn(pumps)
        self.look()

    def _learn(self, pumps: Collection[StreamDriver]) -> None:
        """What is spoken will have to be recognised: so what streams need shows when they begin to speak,
        once it is known what that costs. Who has said his last, or was cut off, speaks no more."""
        heard = [pump for pump in pumps if pump.session.received != self._received.get(id(pump))]
        self._received = {id(pump): pump.session.received for pump in pumps}
        self._quiet = len(pumps) - len(heard)
        paces = [pump.models.asr.pace for pump in heard if pump.session.is_speaking]
        if all(paces):
            self._demand.learn(self._look_seconds, len(heard), self._look_seconds * sum(paces))

    def tell(self) -> None:
        lag_ms = round(self._overload.lag * 1000)
        for pump in self._pumps():
            pump.tell_lag(lag_ms)

    async def run(self) -> None:
        """Until it is cancelled."""
        looks = 0
        while True:
            await asyncio.sleep(self._look_seconds)
            self.look_at_streams()
            looks += 1
            if looks % TELL_EVERY == 0:
                self.tell()


MEMORY: Final = 30.0  # seconds, after which what was learned counts a third


class DemandEstimate:
    """Learns what a stream needs; pure: time is told to it."""

    def __init__(self) -> None:
        self._stream_seconds = 0.0
        self._work = 0.0

    def learn(self, seconds: float, streams: int, work: float) -> None:
        """For so many seconds so many streams were open, and spoke what takes so many seconds of work."""
        kept = math.exp(-seconds / MEMORY)
        self._stream_seconds = kept * self._stream_seconds + seconds * streams
        self._work = kept * self._work + work

    def share(self, streams: int) -> float:
        """Of all that the recognizers can do, for so many streams: those too that have hardly begun to speak.
        From 1 on they fall behind."""
        return streams * self._work / self._stream_seconds if self._stream_seconds > 0 else 0.0
