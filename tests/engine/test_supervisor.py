"""The supervisor reports the state of a model's worker."""

from engine.health import Health
from engine.supervisor import Supervisor


def test_restart_is_a_problem_while_it_lasts() -> None:
    health, restarts = Health(), list[int]()
    watchdog = Supervisor("detector", health, on_restart=lambda: restarts.append(1))
    watchdog.restarting("it died")
    assert watchdog.is_restarting
    assert health.problems["detector"].reason == "is being started again: it died"
    watchdog.restarted()
    assert not watchdog.is_restarting
    assert (health.problems, restarts) == ({}, [1])


def test_broken_model_is_a_problem_until_it_is_closed() -> None:
    health, ends = Health(), list[str]()
    watchdog = Supervisor("detector", health, on_broken=ends.append)
    watchdog.restarting("it died")
    watchdog.broken("it cannot be loaded")
    assert (watchdog.error, ends) == ("it cannot be loaded", ["it cannot be loaded"])
    assert not watchdog.is_restarting
    assert not health.ok
    watchdog.close()
    assert health.ok


def test_close_without_a_problem_resolves_nothing() -> None:
    health = Health()
    before, after = (Supervisor("recognizer a", health) for _ in range(2))
    after.restarting("it died")
    before.close()
    assert list(health.problems) == ["recognizer a"]
