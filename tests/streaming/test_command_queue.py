"""Test that commands take effect at their samples, in order."""

from audio.clip import HOP
from streaming.command_queue import CommandQueue


def test_action_runs_when_hops_before_it_are_judged() -> None:
    ran: list[int] = []
    commands = CommandQueue()
    commands.add(3 * HOP + 1, ran.append)
    commands.run(lambda: 2 * HOP)
    assert ran == []
    assert len(commands.waiting) == 1
    commands.run(lambda: 3 * HOP)
    assert ran == [3 * HOP + 1]
    commands.run(lambda: 9 * HOP)
    assert ran == [3 * HOP + 1]


def test_actions_wait_for_earlier_actions() -> None:
    ran: list[str] = []
    commands = CommandQueue()
    commands.add(5 * HOP, lambda at: ran.append("first"))
    commands.add(5 * HOP, lambda at: ran.append("second"))
    commands.run(lambda: 4 * HOP)
    assert ran == []
    commands.run(lambda: 5 * HOP)
    assert ran == ["first", "second"]


def test_action_may_change_the_judged_position() -> None:
    judged = [0]
    ran: list[int] = []
    commands = CommandQueue()
    commands.add(0, lambda at: judged.append(HOP))
    commands.add(2 * HOP - 1, ran.append)
    commands.run(lambda: judged[-1])
    assert ran == [2 * HOP - 1]
