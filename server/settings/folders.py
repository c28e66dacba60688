"""Check the folders that settings name."""

import os


def check_no_file(path: str) -> str:
    """Return the path of a folder, which need not exist. Raises ValueError if it is something else."""
    if os.path.exists(path) and not os.path.isdir(path):
        raise ValueError("it must be a folder")
    return path
