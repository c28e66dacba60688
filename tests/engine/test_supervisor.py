"""The supervisor reports the state of a model's worker."""

from engine.health import Health
from engine.supervisor import Supervisor


def test_a_restart_is_a_trouble_while_it_lasts_and_is_counted() -> None:
    health, restarts = Health(), list[int]()
    watchdog = Supervisor("detector", health, on_restart=lambda: restarts.append(1))
    watchdog.restarting("it died")
    assert watchdog.is_restarting
    assert health.problems["detector"].reason == "is being started again: it died"
    watchdog.restarted()
    assert not watchdog.is_restarting
    assert (health.problems, restarts) == ({}, [1])


def test_a_model_that_broke_stays_a_trouble_until_nobody_uses_it() -> None:
    health, ends = Health(), list[str]()
    watchdog = Supervisor("detector", health, on_broken=ends.append)
    watchdog.restarting("it died")
    watchdog.broken("it cannot be loaded")
    assert (watchdog.error, ends) == ("it cannot be loaded", ["it cannot be loaded"])
    assert not watchdog.is_restarting
    assert not health.ok
    watchdog.close()
    assert health.ok


def test_who_leaves_without_a_trouble_takes_none_away() -> None:
    health = Health()
    before, after = (Supervisor("recognizer a", health) for _ in range(2))
    after.restarting("it died")
    before.close()
    assert list(health.problems) == ["recognizer a"]
