"""Test that the generated input depends only on the seed, is of every kind and is mostly malformed."""

from random import Random

import orjson

from tests.fuzz import malformed
from tests.fuzz.seeds import ENDPOINTS, NATIVE, POSTS


def test_same_seed_gives_the_same_input() -> None:
    for endpoint in ENDPOINTS:
        assert malformed.frame(Random(1), endpoint) == malformed.frame(Random(1), endpoint)
    assert malformed.request(Random(1), POSTS[0]) == malformed.request(Random(1), POSTS[0])


def test_some_of_it_is_json_and_some_is_not() -> None:
    chance = Random(2)
    readable = [_is_json(malformed.text(chance, NATIVE)) for _ in range(300)]
    assert 0.2 < sum(readable) / len(readable) < 0.9


def test_most_generated_messages_are_invalid() -> None:
    chance = Random(3)
    due = [orjson.dumps(message) for message in NATIVE.messages]
    same = sum(
        malformed.text(chance, NATIVE).replace(b", ", b",").replace(b": ", b":") in due for _ in range(300)
    )
    assert same < 75


def test_every_frame_has_a_head() -> None:
    chance = Random(4)
    for _ in range(200):
        for endpoint in ENDPOINTS:
            assert malformed.frame(chance, endpoint)[0] & 0x8F in (0x01, 0x81, 0x82, 0x89, 0x8A)


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
