"""How long a session waits for its client."""

import asyncio

from server.connection.resume_timer import ResumeTimer


async def test_it_wears_out_once_when_nobody_comes() -> None:
    worn_out: list[bool] = []
    patience = ResumeTimer(0.0)
    assert patience.begin(lambda: worn_out.append(patience.is_gone))
    await patience.outlast(lambda: False)
    assert worn_out == [False]  # the session's end comes first, and then nobody is waited for
    assert patience.is_gone


async def test_it_begins_once() -> None:
    patience = ResumeTimer(3600)
    assert [patience.begin(lambda: None), patience.begin(lambda: None)] == [True, False]
    patience.end()


async def test_who_comes_back_ends_it_and_it_can_begin_again() -> None:
    worn_out: list[str] = []
    patience, there = ResumeTimer(0.0), list[str]()
    patience.begin(lambda: worn_out.append("first"))
    patience.end()
    patience.end()
    waiting = asyncio.create_task(patience.outlast(lambda: bool(there)))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert worn_out == []
    there.append("client")
    patience.end()
    await waiting
    assert not patience.is_gone
    assert patience.begin(lambda: worn_out.append("second"))
    await patience.outlast(lambda: False)
    assert worn_out == ["second"]


async def test_who_is_there_is_not_waited_for() -> None:
    await ResumeTimer(3600).outlast(lambda: True)


async def test_who_is_given_up_is_not_waited_for() -> None:
    patience = ResumeTimer(3600)
    waiting = asyncio.create_task(patience.outlast(lambda: False))
    await asyncio.sleep(0)
    patience.lose()
    await waiting
