"""Define the exit codes, and print errors to stderr."""

import sys
from typing import Final

OK: Final = 0
FAILED: Final = 1  # One or more files failed; the others are done.
UNUSABLE: Final = 2  # The arguments, the model or the key file cannot be used.
INTERRUPTED: Final = 130


def print_error(message: str) -> None:
    """Print an error or a warning to stderr."""
    print(f"stt: {message}", file=sys.stderr)
