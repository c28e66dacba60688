"""Lives: what a name lends, and how that is called."""

import pytest

from server.health import Health
from server.lives import Entry, Life, State
from server.shelf import Place
from server.watchdog import Watchdog


@pytest.fixture
def lives() -> tuple[Life, Life]:
    first, second = Life(Place("a")), Life(Place("a"))
    for life in (first, second):
        life.watchdog = Watchdog("recognizer a", Health())
    return first, second


def test_a_name_is_absent_loading_ready_restarting_or_failed(lives: tuple[Life, Life]) -> None:
    first, _ = lives
    entry = Entry("a", "/a")
    assert entry.state is State.ABSENT
    assert Entry("a", "/a", error="it is not there").state is State.FAILED
    assert Entry("a", "/a", arriving=first).state is State.LOADING
    assert Entry("a", "/a", current=first).state is State.READY
    first.watchdog.restarting("it died")
    assert Entry("a", "/a", current=first).state is State.RESTARTING


def test_what_is_broken_is_not_lent_but_what_comes_in_its_stead(lives: tuple[Life, Life]) -> None:
    first, second = lives
    entry = Entry("a", "/a", current=first)
    first.watchdog.broken("it is gone")
    assert entry.life is None
    entry.arriving = second
    assert entry.life is second
    assert entry.state is State.LOADING
