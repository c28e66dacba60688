"""Times are formatted for display, and parsed as the user types them."""

import math

from tests.web.browser import Modules


async def test_times_are_formatted(modules: Modules) -> None:
    function = """({ formatTime }, times) =>
        times.map((ms) => [formatTime(ms), formatTime(ms, { tenths: true })])"""
    assert await modules.run("time_format", function, [0, 75_449, 3_605_000]) == [
        ["0:00", "0:00.0"],
        ["1:15", "1:15.4"],
        ["1:00:05", "1:00:05.0"],
    ]


async def test_typed_times_are_parsed(modules: Modules) -> None:
    function = "({ parseTime }, texts) => texts.map(parseTime)"
    texts = ["1:15.4", "75.4", " 75,4 ", "0:01:15.4", "7"]
    assert await modules.run("time_format", function, texts) == [75_400, 75_400, 75_400, 75_400, 7_000]
    invalid = await modules.run("time_format", function, ["", "soon", "-1", "1:2:3:4"])
    assert all(map(math.isnan, invalid))
