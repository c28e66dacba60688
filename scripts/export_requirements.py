"""Write requirements.txt (to run) and requirements-dev.txt (to develop) from poetry.lock.

Every package has an exact version and its marker. CUDA packages are left out: the torch wheel for CUDA
requires its own, and the one for the CPU requires none, so one file serves both.
"""

import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILES = {"requirements.txt": ("main",), "requirements-dev.txt": ("main", "dev")}
HEADER = "# Written by scripts/export_requirements.py from poetry.lock.\n"
CUDA = ("nvidia-", "cuda-", "triton")


def marker(package: dict[str, Any], groups: Collection[str]) -> str | None:
    """Return the environment marker under which some groups need a package: "" for always, None for never."""
    if package["optional"]:  # Only an extra needs it.
        return None
    markers = package.get("markers", "")
    by_group = markers if isinstance(markers, dict) else dict.fromkeys(package["groups"], markers)
    wanted = {by_group.get(group, "") for group in package["groups"] if group in groups}
    wanted = {condition for condition in wanted if "extra ==" not in condition}
    if not wanted:
        return None
    if "" in wanted:
        return ""
    return " or ".join(sorted(wanted))


def lines(lock: dict[str, Any], groups: Collection[str]) -> Iterator[str]:
    """Yield the line of each package that some groups need."""
    for package in lock["package"]:
        condition = marker(package, groups)
        if condition is None or package["name"].startswith(CUDA):
            continue
        yield f"{package['name']}=={package['version']}" + (f" ; {condition}" if condition else "")


def requirements(lock: dict[str, Any], groups: Collection[str]) -> str:
    """Return the text of a requirements file.

    lock: tables of poetry.lock (lock-version 2.1)
    groups: dependency groups to include
    """
    return HEADER + "".join(f"{line}\n" for line in lines(lock, groups))


def main() -> None:
    """Write all requirements files."""
    lock = tomllib.loads((ROOT / "poetry.lock").read_text())
    for name, groups in FILES.items():
        (ROOT / name).write_text(requirements(lock, groups))


if __name__ == "__main__":
    main()
