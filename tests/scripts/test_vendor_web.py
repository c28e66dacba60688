"""The vendored files are those of the locked version, with their licence."""

import json

import pytest

from scripts.vendor_web import COPIES, MODULES, VENDOR, VERSION, WEB, locked_version

FIX = "run: npm ci --prefix scripts/web; python -m scripts.vendor_web"


def test_copies_have_the_locked_version() -> None:
    assert VERSION.read_text().strip() == locked_version(), FIX


def test_copies_are_equal_to_the_npm_package() -> None:
    if not MODULES.is_dir():
        pytest.skip("no npm packages: npm ci --prefix scripts/web")
    for copy, original in COPIES.items():
        assert (VENDOR / copy).read_bytes() == (MODULES / original).read_bytes(), FIX


def test_all_vendored_files_are_copies_with_a_licence() -> None:
    files = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert files == COPIES.keys() | {VERSION.relative_to(VENDOR).as_posix()}
    assert "BSD 3-Clause" in (VENDOR / "wavesurfer" / "LICENSE").read_text()


def test_lock_file_names_no_registry() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
