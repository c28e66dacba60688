"""Beat: the moments, about once a second, at which a session has what came in written and acknowledged.

Sessions share them as far as they can: one wake-up of the disk's thread then serves all that are due. They
are not all due at once, which would keep the event loop from everything else.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Final

BEAT_SECONDS: Final = 0.9  # so that no two are more than a second apart, if a loop is a little late
SHARED_SECONDS: Final = 0.1  # beats fall on its multiples


def next_beat(now: float) -> float:
    """Seconds, on the same clock: later than BEAT_SECONDS - SHARED_SECONDS, and never than BEAT_SECONDS."""
    return math.floor(now / SHARED_SECONDS) * SHARED_SECONDS + BEAT_SECONDS


async def beats() -> AsyncIterator[None]:
    """For ever."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(next_beat(loop.time()) - loop.time())
        yield
