"""Test that jobs end once and with their text, whatever happens to workers and to the database."""

from pathlib import Path

import pytest

from tests.faults.jobs.run import Fault, Plan, run
from tests.jobs.conftest import postgres
from tests.jobs.databases import Postgres

__all__ = ["postgres"]  # a fixture


@pytest.mark.slow
@pytest.mark.timeout(600)  # a machine may be busy; alone it takes about half a minute each
@pytest.mark.parametrize(
    ("database", "plan"),
    [("sqlite", Plan(30, 2, 7, faults=6, poison=1)), ("postgres", Plan(20, 2, 8, faults=5, poison=1))],
)
async def test_jobs_end_once_and_as_without_faults(
    database: str, plan: Plan, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: Postgres | None = request.getfixturevalue("postgres") if database == "postgres" else None
    result = await run(plan, tmp_path, server)
    story = f"{result.report(plan)}\n{result.log[-5000:]}"
    assert not result.wrong, story
    assert {*Fault} <= result.met.keys(), story
    assert result.states == {"succeeded": plan.jobs - plan.poison, "failed": plan.poison}, story
