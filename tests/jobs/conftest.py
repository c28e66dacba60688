"""Provide databases of jobs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.options import JobsOptions
from jobs.service import JobDatabase
from tests.jobs.databases import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> JobsOptions:
    """Return the options of a database of each kind without jobs."""
    if request.param == "sqlite":
        return JobsOptions(tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return JobsOptions(tmp_path, server.new_database_with_tables())


@pytest.fixture
def database(options: JobsOptions) -> Iterator[JobDatabase]:
    found = JobDatabase(options)
    yield found
    found.close()
