"""What the page takes from others is what the lock says, with its licence."""

import json

import pytest

from scripts.vendor_web import COPIES, MODULES, VENDOR, VERSION, WEB, locked_version

AGAIN = "run: npm ci --prefix scripts/web; python -m scripts.vendor_web"


def test_the_copies_are_of_the_locked_version() -> None:
    assert VERSION.read_text().strip() == locked_version(), AGAIN


def test_the_copies_are_what_npm_installs() -> None:
    if not MODULES.is_dir():
        pytest.skip("npm's packages are not here: npm ci --prefix scripts/web")
    for copy, original in COPIES.items():
        assert (VENDOR / copy).read_bytes() == (MODULES / original).read_bytes(), AGAIN


def test_everything_vendored_is_a_copy_and_has_a_licence() -> None:
    there = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert there == COPIES.keys() | {VERSION.relative_to(VENDOR).as_posix()}
    assert "BSD 3-Clause" in (VENDOR / "wavesurfer" / "LICENSE").read_text()


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
