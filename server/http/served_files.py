"""Open files of a folder of the server that a client names by path.

Each part of the path is opened below the one before it, and symbolic links are not followed. So no path leads
out of the folder, not even one that is changed at the same moment.
"""

import os
import stat
from pathlib import Path, PurePosixPath
from typing import IO, Final

from server.errors import ApiError, invalid, too_large

MAX_PATH: Final = 4_096  # characters
FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would block


def open_below(folder: Path, path: str, limit: int) -> IO[bytes]:
    """Open a regular file. Blocks.

    path: relative to the folder, or absolute and below it
    limit: maximum size in bytes

    Raises ApiError: 400 if the path leads out of the folder, 404 if there is no such file, and 413.
    """
    parts = _parts(folder, path)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in parts[:-1]:
            inner = os.open(name, FOLDER_FLAGS, dir_fd=opened)
            os.close(opened)
            opened = inner
        file = os.open(parts[-1], FILE_FLAGS, dir_fd=opened)
    except OSError as error:  # It is missing, a link, no folder, or may not be read.
        raise _missing(path) from error
    finally:
        os.close(opened)
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        os.close(file)
        raise _missing(path)
    if found.st_size > limit:
        os.close(file)
        raise too_large(limit, found.st_size)
    return os.fdopen(file, "rb")


def _parts(folder: Path, path: str) -> tuple[str, ...]:
    """Return the names between the folder and the file. Raises ApiError."""
    if not path or len(path) > MAX_PATH or "\0" in path:
        raise invalid(f"A 'path' has 1 to {MAX_PATH} characters.", "path", "invalid_path")
    asked = PurePosixPath(path)
    if asked.is_absolute():
        try:
            asked = asked.relative_to(folder.absolute().as_posix())
        except ValueError:
            raise _outside() from None
    if ".." in asked.parts:
        raise _outside()
    if not asked.parts:
        raise _missing(path)
    return asked.parts


def _outside() -> ApiError:
    return invalid("The 'path' must lie in the folder FILES_DIR of the server.", "path", "invalid_path")


def _missing(path: str) -> ApiError:
    message = f"There is no file {path[:200]!r} in FILES_DIR; links are not followed."
    return ApiError(404, message, param="path", code="file_not_found")
