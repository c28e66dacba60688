"""Sync: when a journal is forced onto the disk."""

from enum import StrEnum


class Sync(StrEnum):
    """When what was written is forced onto the medium: against the loss of power, not of the process."""

    NEVER = "never"
    SECOND = "second"
    ALWAYS = "always"
