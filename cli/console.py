"""Define the exit codes, which docs/command-line.md lists, and print errors to stderr."""

import sys
from collections.abc import Collection
from typing import Final

OK: Final = 0
FAILED: Final = 1  # Recognition failed, or files failed in different ways.
UNUSABLE: Final = 2  # The arguments, the model or the key file cannot be used.
NO_FILE: Final = 3  # A file cannot be opened, or a result cannot be written.
NO_AUDIO: Final = (
    4  # A file is no audio that can be read, contains none, lacks the track or ends before --start.
)
INTERRUPTED: Final = 130


def exit_code_of(failures: Collection[int]) -> int:
    """Return the exit code of a command; failures: those of the kinds of failure, each once."""
    return FAILED if len(failures) > 1 else next(iter(failures), OK)


def print_error(message: str) -> None:
    """Print an error or a warning to stderr."""
    print(f"stt: {message}", file=sys.stderr)
