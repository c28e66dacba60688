"""How long a session waits for its client."""

import asyncio

from server.connection.resume_timer import ResumeTimer


async def test_it_wears_out_once_when_nobody_comes() -> None:
    worn_out: list[bool] = []
    patience = ResumeTimer(0.0)
    assert patience.start(lambda: worn_out.append(patience.gave_up))
    await patience.wait(lambda: False)
    assert worn_out == [False]  # the session's end comes first, and then nobody is waited for
    assert patience.gave_up


async def test_it_begins_once() -> None:
    patience = ResumeTimer(3600)
    assert [patience.start(lambda: None), patience.start(lambda: None)] == [True, False]
    patience.stop()


async def test_who_comes_back_ends_it_and_it_can_begin_again() -> None:
    worn_out: list[str] = []
    patience, there = ResumeTimer(0.0), list[str]()
    patience.start(lambda: worn_out.append("first"))
    patience.stop()
    patience.stop()
    waiting = asyncio.create_task(patience.wait(lambda: bool(there)))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert worn_out == []
    there.append("client")
    patience.stop()
    await waiting
    assert not patience.gave_up
    assert patience.start(lambda: worn_out.append("second"))
    await patience.wait(lambda: False)
    assert worn_out == ["second"]


async def test_who_is_there_is_not_waited_for() -> None:
    await ResumeTimer(3600).wait(lambda: True)


async def test_who_is_given_up_is_not_waited_for() -> None:
    patience = ResumeTimer(3600)
    waiting = asyncio.create_task(patience.wait(lambda: False))
    await asyncio.sleep(0)
    patience.give_up()
    await waiting
