"""When the page reconnects, and after which delay."""

import pytest

from tests.web.browser import Modules


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1006, "", True),
        (1005, "", True),
        (1012, "server_restarting", True),
        (1013, "server_overloaded", True),
        (4013, "slow", True),
        (1011, "", True),
        (1011, "internal_error", False),
        (1009, "message_too_large", False),
        (4009, "taken_over", False),
        (4000, "invalid_value", False),
    ],
)
async def test_page_reconnects_unless_the_server_ended_the_session(
    modules: Modules, code: int, reason: str, expected: bool
) -> None:
    function = "({ shouldReconnect }, [code, reason]) => shouldReconnect(code, reason)"
    assert await modules.run("reconnect", function, [code, reason]) is expected


async def test_delays_double_up_to_a_bound_until_reset(modules: Modules) -> None:
    function = """({ Backoff }) => {
        const backoff = new Backoff(() => 0.5);
        const delays = Array.from({ length: 7 }, () => backoff.next());
        backoff.reset();
        return [...delays, backoff.next()];
    }"""
    assert await modules.run("reconnect", function) == [100, 200, 400, 800, 1600, 2500, 2500, 100]
