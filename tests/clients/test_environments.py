"""Test that environments are built once, and again only when they must be."""

from pathlib import Path

import pytest

from tests.clients import environments


class Builder:
    def __init__(self) -> None:
        self.built: list[Path] = []
        self.fails = False

    def __call__(self, folder: Path) -> None:
        self.built.append(folder)
        folder.mkdir(exist_ok=True)
        if self.fails:
            raise OSError("no network")


def test_an_environment_is_made_once_for_the_same_requirements(tmp_path: Path) -> None:
    build = Builder()
    first = environments.environment("client", ["a==1"], build, tmp_path)
    assert environments.environment("client", ["a==1"], build, tmp_path) == first
    assert environments.environment("client", ["a==2"], build, tmp_path) != first
    assert len(build.built) == 2


def test_a_build_that_failed_is_done_again(tmp_path: Path) -> None:
    build = Builder()
    build.fails = True
    with pytest.raises(OSError, match="no network"):
        environments.environment("client", ["a==1"], build, tmp_path)
    build.fails = False
    folder = environments.environment("client", ["a==1"], build, tmp_path)
    assert build.built == [folder, folder]
