"""A session is found by its token until a while after its end."""

import asyncio

from server.connection.session_registry import SessionRegistry, digest, new_token
from tests.waiting import until


async def test_a_session_is_found_by_its_token_and_by_no_other() -> None:
    sessions: SessionRegistry[str] = SessionRegistry(60, max_ended=10)
    token = new_token()
    sessions.add(digest(token), "mine")
    assert sessions.find(token) == "mine"
    assert sessions.find(new_token()) is None
    assert sessions.find("\ud800") is None


async def test_after_its_end_it_is_held_for_a_while() -> None:
    sessions: SessionRegistry[str] = SessionRegistry(0, max_ended=10)
    sessions.add(digest("a"), "mine")
    await asyncio.sleep(0)
    assert sessions.find("a") == "mine"
    sessions.end(digest("a"))
    assert sessions.find("a") == "mine"
    await until(lambda: not sessions.find("a"))
    assert len(sessions) == 0


async def test_of_those_that_ended_the_first_is_let_go_when_there_are_too_many() -> None:
    sessions: SessionRegistry[str] = SessionRegistry(60, max_ended=2)
    for token in "abcd":
        sessions.add(digest(token), token)
    for token in "bca":
        sessions.end(digest(token))
    assert [sessions.find(token) for token in "abcd"] == ["a", None, "c", "d"]


async def test_one_that_can_be_found_no_more_is_forgotten_aloud() -> None:
    on_forget: list[str] = []
    sessions: SessionRegistry[str] = SessionRegistry(60, max_ended=1, on_forget=on_forget.append)
    for token in "ab":
        sessions.add(digest(token), token)
        sessions.end(digest(token))
    assert on_forget == ["a"]


async def test_one_that_goes_on_elsewhere_is_not() -> None:
    on_forget: list[str] = []
    sessions: SessionRegistry[str] = SessionRegistry(60, max_ended=1, on_forget=on_forget.append)
    sessions.add(digest("a"), "mine")
    sessions.leave(digest("a"))
    assert sessions.find("a") is None
    assert on_forget == []


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert min(map(len, tokens)) >= 32
