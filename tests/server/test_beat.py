"""When a session has what came in written and acknowledged."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from server.beat import BEAT_SECONDS, SHARED_SECONDS, beats, next_beat


@given(st.floats(0, 1e7))
def test_a_beat_is_soon_and_on_the_grid_that_all_share(now: float) -> None:
    at = next_beat(now)
    assert BEAT_SECONDS - SHARED_SECONDS - 1e-6 < at - now < BEAT_SECONDS + 1e-6
    assert abs(at / SHARED_SECONDS - round(at / SHARED_SECONDS)) < 1e-6


@given(st.floats(0, 1e7), st.floats(0, SHARED_SECONDS, exclude_max=True))
def test_who_begins_within_one_stretch_of_the_grid_has_his_beats_with_the_others(
    now: float, late: float
) -> None:
    first = round(now / SHARED_SECONDS) * SHARED_SECONDS + SHARED_SECONDS / 4
    assert next_beat(first) == next_beat(first + late / 2)


async def test_beats_go_on() -> None:
    loop = asyncio.get_running_loop()
    came = []
    async with asyncio.timeout(20):
        async for _ in beats():
            came.append(loop.time())
            if len(came) == 2:
                break
    assert came[1] - came[0] > BEAT_SECONDS - 2 * SHARED_SECONDS
