"""Test how long a session waits for its client."""

import asyncio

from server.connection.resume_timer import ResumeTimer


async def test_timer_expires_once() -> None:
    worn_out: list[bool] = []
    timer = ResumeTimer(0.0)
    assert timer.start(lambda: worn_out.append(timer.gave_up))
    await timer.wait(lambda: False)
    assert worn_out == [False]  # the callback runs before the timer gives up
    assert timer.gave_up


async def test_timer_starts_once() -> None:
    timer = ResumeTimer(3600)
    assert [timer.start(lambda: None), timer.start(lambda: None)] == [True, False]
    timer.stop()


async def test_timer_can_restart_after_a_resume() -> None:
    worn_out: list[str] = []
    timer, there = ResumeTimer(0.0), list[str]()
    timer.start(lambda: worn_out.append("first"))
    timer.stop()
    timer.stop()
    waiting = asyncio.create_task(timer.wait(lambda: bool(there)))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert worn_out == []
    there.append("client")
    timer.stop()
    await waiting
    assert not timer.gave_up
    assert timer.start(lambda: worn_out.append("second"))
    await timer.wait(lambda: False)
    assert worn_out == ["second"]


async def test_connected_client_is_not_waited_for() -> None:
    await ResumeTimer(3600).wait(lambda: True)


async def test_given_up_client_is_not_waited_for() -> None:
    timer = ResumeTimer(3600)
    waiting = asyncio.create_task(timer.wait(lambda: False))
    await asyncio.sleep(0)
    timer.give_up()
    await waiting
