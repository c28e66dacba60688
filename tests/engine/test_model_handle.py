"""Lives: what a name lends, and how that is called."""

import pytest

from engine.health import Health
from engine.memory_budget import Reservation
from engine.model_handle import ModelHandle, ModelSlot, ModelState
from engine.supervisor import Supervisor


@pytest.fixture
def lives() -> tuple[ModelHandle, ModelHandle]:
    first, second = ModelHandle(Reservation("a")), ModelHandle(Reservation("a"))
    for life in (first, second):
        life.watchdog = Supervisor("recognizer a", Health())
    return first, second


def test_a_name_is_absent_loading_ready_restarting_or_failed(lives: tuple[ModelHandle, ModelHandle]) -> None:
    first, _ = lives
    entry = ModelSlot("a", "/a")
    assert entry.state is ModelState.ABSENT
    assert ModelSlot("a", "/a", error="it is not there").state is ModelState.FAILED
    assert ModelSlot("a", "/a", arriving=first).state is ModelState.LOADING
    assert ModelSlot("a", "/a", current=first).state is ModelState.READY
    first.watchdog.restarting("it died")
    assert ModelSlot("a", "/a", current=first).state is ModelState.RESTARTING


def test_what_is_broken_is_not_lent_but_what_comes_in_its_stead(
    lives: tuple[ModelHandle, ModelHandle],
) -> None:
    first, second = lives
    entry = ModelSlot("a", "/a", current=first)
    first.watchdog.broken("it is gone")
    assert entry.life is None
    entry.arriving = second
    assert entry.life is second
    assert entry.state is ModelState.LOADING
