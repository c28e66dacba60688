"""Test that a session is found by its token until some time after its end."""

import asyncio

from server.connection.session_registry import SessionRegistry, digest, new_token
from tests.waiting import until


async def test_session_is_found_by_its_token_only() -> None:
    sessions: SessionRegistry[str] = SessionRegistry(60, max_ended=10)
    token = new_token()
    sessions.add(digest(token), "mine")
    assert sessions.find(token) == "mine"
    assert sessions.find(new_token()) is None
    assert sessions.find("\ud800") is None


async def test_ended_session_is_held_for_a_time() -> None:
    sessions: SessionRegistry[str] = SessionRegistry(0, max_ended=10)
    sessions.add(digest("a"), "mine")
    await asyncio.sleep(0)
    assert sessions.find("a") == "mine"
    sessions.end(digest("a"))
    assert sessions.find("a") == "mine"
    await until(lambda: not sessions.find("a"))
    assert len(sessions) == 0


async def test_oldest_ended_session_is_forgotten_first() -> None:
    sessions: SessionRegistry[str] = SessionRegistry(60, max_ended=2)
    for token in "abcd":
        sessions.add(digest(token), token)
    for token in "bca":
        sessions.end(digest(token))
    assert [sessions.find(token) for token in "abcd"] == ["a", None, "c", "d"]


async def test_forgotten_session_is_passed_to_the_callback() -> None:
    forgotten: list[str] = []
    sessions: SessionRegistry[str] = SessionRegistry(60, max_ended=1, on_forget=forgotten.append)
    for token in "ab":
        sessions.add(digest(token), token)
        sessions.end(digest(token))
    assert forgotten == ["a"]


async def test_session_that_continues_elsewhere_is_not_forgotten() -> None:
    forgotten: list[str] = []
    sessions: SessionRegistry[str] = SessionRegistry(60, max_ended=1, on_forget=forgotten.append)
    sessions.add(digest("a"), "mine")
    sessions.remove(digest("a"))
    assert sessions.find("a") is None
    assert forgotten == []


def test_tokens_are_long_and_unique() -> None:
    tokens = {new_token() for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert min(map(len, tokens)) >= 32
