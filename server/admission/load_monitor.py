"""Measure periodically how far recognition is behind, and send the lag to the streams."""

import asyncio
import math
from collections.abc import Callable, Collection
from statistics import median_low
from typing import Final, Protocol

from server.admission.load_shedding import LoadShedder
from streaming.driver import StreamDriver

CHECK_SECONDS: Final = 0.5
CHECKS_PER_REPORT: Final = 2


class RecognizerLoad(Protocol):
    """Report the load of the recognizers."""

    @property
    def lag(self) -> float:
        """Return the seconds that finals wait for recognition now."""
        ...


class LoadMonitor:
    """Update the load shedder from the recognizers, the detector and the live streams.

    drivers: returns the drivers of the live streams
    check_seconds: interval between two checks
    """

    def __init__(
        self,
        load_shedder: LoadShedder,
        recognizers: RecognizerLoad,
        drivers: Callable[[], Collection[StreamDriver]],
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._load_shedder = load_shedder
        self._recognizers = recognizers
        self._drivers = drivers
        self._demand = DemandEstimate()
        self._received: dict[int, int] = {}  # samples of each driver at the last check, by its id()
        self._quiet = 0  # streams that sent nothing between the last two checks
        self._check_seconds = check_seconds
        self._detector_lag = 0.0

    def update(self) -> None:
        """Update the load shedder with the larger of the recognizers' and the detector's lag.

        Finals wait for both.
        """
        demand = self._demand.share(max(0, len(self._drivers()) - self._quiet))
        self._load_shedder.update(max(self._recognizers.lag, self._detector_lag), demand)

    def check_streams(self) -> None:
        """Measure the detector's lag and the demand of the streams, then update the load shedder.

        The detector's lag is the median over the live streams, so a single stream that sends faster than
        real time does not count as lag of the server.
        """
        drivers = self._drivers()
        self._detector_lag = median_low(driver.lag for driver in drivers) if drivers else 0.0
        self._learn(drivers)
        self.update()

    def _learn(self, drivers: Collection[StreamDriver]) -> None:
        """Learn the demand from the streams that are speaking, once the cost of recognition is known.

        Speech will have to be recognised, so the demand is visible as soon as a stream begins to speak.
        Streams that ended or disconnected are not counted.
        """
        active = [driver for driver in drivers if driver.session.received != self._received.get(id(driver))]
        self._received = {id(driver): driver.session.received for driver in drivers}
        self._quiet = len(drivers) - len(active)
        paces = [driver.models.asr.pace for driver in active if driver.session.is_speaking]
        if all(paces):
            self._demand.learn(self._check_seconds, len(active), self._check_seconds * sum(paces))

    def send_lag(self) -> None:
        """Send the lag to the live streams."""
        lag_ms = round(self._load_shedder.lag * 1000)
        for driver in self._drivers():
            driver.report_lag(lag_ms)

    async def run(self) -> None:
        """Check the streams periodically until cancelled."""
        checks = 0
        while True:
            await asyncio.sleep(self._check_seconds)
            self.check_streams()
            checks += 1
            if checks % CHECKS_PER_REPORT == 0:
                self.send_lag()


DECAY_SECONDS: Final = 30.0  # time in which the weight of an observation falls to 1/e


class DemandEstimate:
    """Estimate the recognition work that a stream needs, as an exponentially weighted mean.

    It has no clock; durations are parameters.
    """

    def __init__(self) -> None:
        self._stream_seconds = 0.0
        self._work = 0.0

    def learn(self, seconds: float, streams: int, work: float) -> None:
        """Add an observation.

        seconds: duration of the observation; streams: number of active streams in it
        work: seconds of recognition work that their speech needs
        """
        weight = math.exp(-seconds / DECAY_SECONDS)
        self._stream_seconds = weight * self._stream_seconds + seconds * streams
        self._work = weight * self._work + work

    def share(self, streams: int) -> float:
        """Return the fraction of the recognizers' capacity that this number of streams needs.

        New streams are expected to need as much as the others. From 1 on, recognition falls behind.
        """
        return streams * self._work / self._stream_seconds if self._stream_seconds > 0 else 0.0
