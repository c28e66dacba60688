"""Health: troubles that are noticed, told and cleared."""

import pytest

from engine.health import Health, Problem


def test_a_trouble_lasts_until_it_is_cleared() -> None:
    health = Health()
    assert health.ok
    health.notice("disk", "No space left on device")
    assert not health.ok
    assert health.troubles == {"disk": Problem("No space left on device", True)}
    health.clear("disk")
    health.clear("disk")
    assert health.ok


def test_one_that_does_not_matter_is_told_all_the_same() -> None:
    health = Health()
    health.notice("recognizer b", "it died", matters=False)
    assert health.ok
    assert list(health.troubles) == ["recognizer b"]


def test_a_trouble_is_logged_when_it_begins_when_it_changes_and_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    health = Health()
    for why in ("full", "full", "gone"):
        health.notice("disk", why)
    health.clear("disk")
    assert caplog.messages == [
        "trouble with the disk: full",
        "trouble with the disk: gone",
        "the trouble with the disk is over",
    ]
