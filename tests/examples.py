"""Scale the number of hypothesis examples of a property by the profile of the run (tests/conftest.py)."""

from typing import Any, Final

from hypothesis import settings

FULL: Final = 100  # examples of a profile under which a property gets what it asks for
LEAST: Final = 3


def examples(wanted: int, **options: Any) -> settings:
    """Return settings with the profile's share of the wanted examples.

    wanted: examples for which the profile has 100; other options are those of `hypothesis.settings`
    """
    share = settings().max_examples / FULL
    least = min(LEAST, wanted)
    return settings(max_examples=max(least, round(wanted * share)), **options)
