"""Provide databases of jobs."""

import shutil
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


@pytest.fixture(scope="session")
def sqlite_with_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database file with the empty tables of jobs: creating them takes longer than a copy."""
    options = JobsOptions(tmp_path_factory.mktemp("jobs"))
    database = JobDatabase(options)
    database.forget()
    database.close()
    return options.database_file


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> JobsOptions:
    """Return the options of a database of each kind without jobs."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_with_tables")
        shutil.copy(template, tmp_path)
        return JobsOptions(tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return JobsOptions(tmp_path, server.new_database_with_tables())


@pytest.fixture
def database(options: JobsOptions) -> Iterator[JobDatabase]:
    found = JobDatabase(options)
    yield found
    found.close()
