"""Define the exit codes, which docs/command-line.md lists, and print errors to stderr."""

import os
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


def reason_of(error: OSError, source: object = None) -> str:
    """Return the name of the file and why it cannot be used, without the number of the error.

    source: the file, for an error that does not name one
    """
    reason = error.strerror or str(error)
    name = source if error.filename is None else os.fsdecode(error.filename)
    return reason if name is None else f"{name}: {reason}"


def print_error(message: str) -> None:
    """Print an error or a warning to stderr."""
    print(f"stt: {message}", file=sys.stderr)
