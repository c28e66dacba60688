"""Test that pyproject.toml, poetry.lock and the requirements files agree."""

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scripts.export_requirements import FILES, marker, requirements

ROOT = Path(__file__).resolve().parent.parent
LOCK = tomllib.loads((ROOT / "poetry.lock").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
URL = re.compile(r"\w+://|\bindex-url\b|\bfind-links\b")


def canonical(requirement: str) -> str:
    """Return the name of a package as the lock file writes it."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def named_in_pyproject() -> list[str]:
    project = PROJECT["project"]
    groups = [*project["optional-dependencies"].values(), *PROJECT["dependency-groups"].values()]
    return [canonical(requirement) for group in [project["dependencies"], *groups] for requirement in group]


def package(**fields: object) -> dict[str, Any]:
    return {"name": "thing", "version": "1", "optional": False, "groups": ["main"], **fields}


@pytest.mark.parametrize(("name", "groups"), FILES.items())
def test_a_requirements_file_is_what_the_script_makes_of_the_lock(name: str, groups: tuple[str, ...]) -> None:
    assert (ROOT / name).read_text() == requirements(LOCK, groups)


def test_no_package_is_locked_twice() -> None:
    """Two versions of an nvidia package in one folder make `import torch` crash."""
    count = Counter(package["name"] for package in LOCK["package"])
    assert [name for name, times in count.items() if times > 1] == []


def test_every_dependency_named_in_pyproject_is_locked() -> None:
    assert set(named_in_pyproject()) <= {canonical(package["name"]) for package in LOCK["package"]}


@pytest.mark.parametrize("name", ["pyproject.toml", "poetry.lock", *FILES])
def test_no_file_names_a_registry(name: str) -> None:
    assert URL.findall((ROOT / name).read_text()) == []


def test_no_locked_package_and_no_tool_names_a_source() -> None:
    assert [package["name"] for package in LOCK["package"] if "source" in package] == []
    assert "source" not in PROJECT["tool"]["poetry"]


def test_a_requirements_file_leaves_the_cuda_packages_to_torch() -> None:
    text = requirements(LOCK, ("main", "dev"))
    assert "\ntorch==2.13.0\n" in text
    assert re.findall(r"^(?:nvidia|cuda|triton).*", text, re.MULTILINE) == []


def test_a_package_of_other_groups_is_not_needed() -> None:
    assert marker(package(groups=["dev"]), ["main"]) is None
    assert marker(package(groups=["dev"]), ["main", "dev"]) == ""


def test_a_package_that_only_an_extra_wants_is_not_needed() -> None:
    assert marker(package(optional=True, markers='extra == "mic"'), ["main"]) is None


def test_a_package_that_an_extra_and_the_tests_want_is_for_the_tests() -> None:
    both = package(groups=["main", "dev"], markers={"main": 'extra == "trace"'})
    assert marker(both, ["main"]) is None
    assert marker(both, ["main", "dev"]) == ""


def test_one_marker_holds_for_every_group() -> None:
    both = package(groups=["main", "dev"], markers="sys_platform == 'linux'")
    assert marker(both, ["main", "dev"]) == "sys_platform == 'linux'"


def test_markers_by_group_are_joined() -> None:
    by_group = package(groups=["main", "dev"], markers={"main": "a == '1'", "dev": "b == '2'"})
    assert marker(by_group, ["main"]) == "a == '1'"
    assert marker(by_group, ["main", "dev"]) == "a == '1' or b == '2'"


def test_a_group_without_a_marker_always_needs_the_package() -> None:
    assert marker(package(groups=["main", "dev"], markers={"main": "a == '1'"}), ["main", "dev"]) == ""
