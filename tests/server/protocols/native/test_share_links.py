"""The links of a session are bounded and can be withdrawn one by one."""

import pytest

from server.protocols.native.share_links import (
    ID_CHARS,
    MAX_LINKS,
    ShareLink,
    ShareLinks,
    TooManyLinks,
    link_id_of,
)


class Clock:
    """Return a time that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_link_is_withdrawn_alone() -> None:
    links = ShareLinks(Clock())
    for name in "ab":
        links.add(ShareLink(name, 60))
    links.withdraw("a", 60)
    assert (links.is_withdrawn("a"), links.is_withdrawn("b")) == (True, False)
    assert [link.id for link in links.valid] == ["b"]


def test_link_of_an_earlier_process_can_be_withdrawn() -> None:
    links = ShareLinks(Clock())
    links.withdraw("old", 60)
    assert links.is_withdrawn("old")
    assert links.valid == []


def test_withdrawn_links_take_places_until_they_expire() -> None:
    clock = Clock()
    links = ShareLinks(clock)
    for number in range(MAX_LINKS):
        links.add(ShareLink(str(number), 60))
    links.withdraw("0", 60)
    with pytest.raises(TooManyLinks):
        links.check_capacity()
    with pytest.raises(TooManyLinks):
        links.withdraw("another", 60)
    clock.now = 61
    links.check_capacity()
    assert links.valid == []


def test_id_of_a_link_does_not_contain_its_token() -> None:
    assert len(link_id_of("share_x")) == ID_CHARS
    assert link_id_of("share_x") != link_id_of("share_y")
