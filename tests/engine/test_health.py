"""Problems are reported, logged and resolved."""

import pytest

from engine.health import Health, Problem


def test_a_problem_lasts_until_it_is_resolved() -> None:
    health = Health()
    assert health.ok
    health.report("disk", "No space left on device")
    assert not health.ok
    assert health.problems == {"disk": Problem("No space left on device", True)}
    health.resolve("disk")
    health.resolve("disk")
    assert health.ok


def test_a_problem_that_is_not_critical_is_listed() -> None:
    health = Health()
    health.report("recognizer b", "it died", critical=False)
    assert health.ok
    assert list(health.problems) == ["recognizer b"]


def test_a_problem_is_logged_when_reported_changed_and_resolved(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    health = Health()
    for reason in ("full", "full", "gone"):
        health.report("disk", reason)
    health.resolve("disk")
    assert caplog.messages == [
        "problem.reported name='disk': full",
        "problem.reported name='disk': gone",
        "problem.resolved name='disk'",
    ]
