"""Exit codes, and errors on stderr."""

import sys
from typing import Final

OK: Final = 0
FAILED: Final = 1  # one file or more; the others are done
UNUSABLE: Final = 2  # the arguments, the model or the file of keys
INTERRUPTED: Final = 130


def complain(message: str) -> None:
    """Print an error or a warning to stderr."""
    print(f"stt: {message}", file=sys.stderr)
