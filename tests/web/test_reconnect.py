"""When it is worth coming back, and how soon."""

import pytest

from tests.web.browser import Modules


@pytest.mark.parametrize(
    ("code", "reason", "worth"),
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
async def test_it_is_worth_it_unless_the_server_ended_the_session(
    modules: Modules, code: int, reason: str, worth: bool
) -> None:
    asked = "({ isWorthComingBack }, [code, reason]) => isWorthComingBack(code, reason)"
    assert await modules.run("reconnect", asked, [code, reason]) is worth


async def test_pauses_double_up_to_a_bound_and_begin_anew(modules: Modules) -> None:
    asked = """({ Pauses }) => {
        const pauses = new Pauses(() => 0.5);
        const found = Array.from({ length: 7 }, () => pauses.next());
        pauses.reset();
        return [...found, pauses.next()];
    }"""
    assert await modules.run("reconnect", asked) == [100, 200, 400, 800, 1600, 2500, 2500, 100]
