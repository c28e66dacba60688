"""The recognizer and the state of a name."""

import pytest

from engine.health import Health
from engine.memory_budget import Reservation
from engine.model_handle import ModelHandle, ModelSlot, ModelState
from engine.supervisor import Supervisor


@pytest.fixture
def handles() -> tuple[ModelHandle, ModelHandle]:
    first, second = ModelHandle(Reservation("a")), ModelHandle(Reservation("a"))
    for handle in (first, second):
        handle.supervisor = Supervisor("recognizer a", Health())
    return first, second


def test_a_name_is_absent_loading_ready_restarting_or_failed(
    handles: tuple[ModelHandle, ModelHandle],
) -> None:
    first, _ = handles
    slot = ModelSlot("a", "/a")
    assert slot.state is ModelState.ABSENT
    assert ModelSlot("a", "/a", error="it is not there").state is ModelState.FAILED
    assert ModelSlot("a", "/a", loading=first).state is ModelState.LOADING
    assert ModelSlot("a", "/a", active=first).state is ModelState.READY
    first.supervisor.restarting("it died")
    assert ModelSlot("a", "/a", active=first).state is ModelState.RESTARTING


def test_broken_model_is_not_acquired_but_its_successor(
    handles: tuple[ModelHandle, ModelHandle],
) -> None:
    first, second = handles
    slot = ModelSlot("a", "/a", active=first)
    first.supervisor.broken("it is gone")
    assert slot.handle is None
    slot.loading = second
    assert slot.handle is second
    assert slot.state is ModelState.LOADING
