"""Times for people, in subtitles, and as they are typed."""

import math

from tests.web.browser import Modules


async def test_times_are_short_for_people_and_long_in_subtitles(modules: Modules) -> None:
    asked = """({ shown, stamped }, times) =>
        times.map((ms) => [shown(ms), shown(ms, { tenths: true }), stamped(ms)])"""
    assert await modules.run("time_format", asked, [0, 75_449, 3_605_000]) == [
        ["0:00", "0:00.0", "00:00:00.000"],
        ["1:15", "1:15.4", "00:01:15.449"],
        ["1:00:05", "1:00:05.0", "01:00:05.000"],
    ]


async def test_times_are_typed_in_many_ways(modules: Modules) -> None:
    asked = "({ typed }, texts) => texts.map(typed)"
    texts = ["1:15.4", "75.4", " 75,4 ", "0:01:15.4", "7"]
    assert await modules.run("time_format", asked, texts) == [75_400, 75_400, 75_400, 75_400, 7_000]
    wrong = await modules.run("time_format", asked, ["", "soon", "-1", "1:2:3:4"])
    assert all(map(math.isnan, wrong))
