"""Set a bytecode cache, one torch thread, time limits and the order of files for the whole suite."""

import gc
import os
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Otherwise each worker and each server would compile all modules again, and rewrite all assertions.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Tiny models gain nothing from more threads, and lose much where other tests run beside them.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"

# How fast an example is hangs on the machine and on what else it does.
any_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
for name, examples in {"suite": 50, "fast": 10, "thorough": 1_000}.items():
    settings.register_profile(name, any_machine, max_examples=examples)
settings.load_profile("suite")

SLOW_SECONDS = 300  # limit of a slow test that does not set its own; pyproject.toml has that of the others


def pytest_configure(config: pytest.Config) -> None:
    """Try fewer examples where slow tests are left out: nearly all faults show in the first few of them.

    `--hypothesis-profile thorough` tries 20 times as many as the full run.
    """
    if config.option.markexpr == "not slow":
        settings.load_profile("fast")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude what collection creates from garbage collection: it stays, and it is half a million objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)  # once other hooks have marked what is slow
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Limit slow tests; begin with the files that take longest, so that no process ends alone with them."""
    costs = Counter[Path]()
    for item in items:
        limit, is_slow = item.get_closest_marker("timeout"), item.get_closest_marker("slow") is not None
        costs[item.path] += limit.args[0] if limit else 10 * is_slow
        if is_slow and not limit:
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))
    items.sort(key=lambda item: -costs[item.path])
