"""What a client asks for takes effect at its place, in order."""

from audio.clip import HOP
from streaming.command_queue import CommandQueue


def test_an_action_runs_once_every_whole_hop_before_it_is_judged() -> None:
    ran: list[int] = []
    controls = CommandQueue()
    controls.add(3 * HOP + 1, ran.append)
    controls.run(lambda: 2 * HOP)
    assert ran == []
    assert len(controls.waiting) == 1
    controls.run(lambda: 3 * HOP)
    assert ran == [3 * HOP + 1]
    controls.run(lambda: 9 * HOP)
    assert ran == [3 * HOP + 1]


def test_one_that_is_not_due_holds_up_those_behind_it() -> None:
    ran: list[str] = []
    controls = CommandQueue()
    controls.add(5 * HOP, lambda at: ran.append("first"))
    controls.add(5 * HOP, lambda at: ran.append("second"))
    controls.run(lambda: 4 * HOP)
    assert ran == []
    controls.run(lambda: 5 * HOP)
    assert ran == ["first", "second"]


def test_an_action_may_change_what_is_judged() -> None:
    judged = [0]
    ran: list[int] = []
    controls = CommandQueue()
    controls.add(0, lambda at: judged.append(HOP))
    controls.add(2 * HOP - 1, ran.append)
    controls.run(lambda: judged[-1])
    assert ran == [2 * HOP - 1]
