"""Refuse settings that were renamed, and name the new ones."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final

RENAMED: Final = {
    "WITHOUT_KEYS": "AUTH_WITHOUT_KEYS",
    "ASR_PLACE": "ASR_WORKER",
    "TRACE_SHARE": "TRACE_SAMPLE_RATIO",
    "CONNECTS_PER_SECOND": "RATE_LIMIT_PER_SECOND",
    "CONNECTS_BURST": "RATE_LIMIT_BURST",
    "STOP_SECONDS": "SHUTDOWN_TIMEOUT_SECONDS",
    "TURN": "ENDPOINTING",
    "TURN_SHORTEST_MS": "ENDPOINTING_SHORTEST_MS",
    "TURN_LONGEST_MS": "ENDPOINTING_LONGEST_MS",
    "VAD_PREFIX_MS": "VAD_PRE_ROLL_MS",
    "GUARD_*": "HALLUCINATION_FILTER",
}


def refusals(names: Iterable[str]) -> Iterator[str]:
    """Yield a message for each name that an older version read. Case does not matter."""
    for name in sorted({name.upper() for name in names}):
        new = next((new for old, new in RENAMED.items() if fnmatchcase(name, old)), None)
        if new is not None:
            yield f"{name} is no longer a setting: use {new} (docs/settings.md)."
