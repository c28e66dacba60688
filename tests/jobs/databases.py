"""Open empty databases of jobs for tests: SQLite in a folder, and a Postgres of the test's own."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from jobs.options import JobsOptions
from jobs.service import JobDatabase

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
ACCOUNT = "postgres"  # the server refuses to run as root


class Postgres:
    """Run a Postgres server on a socket in a folder of its own.

    url: of its administrative database
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._template = ""  # name of the database that `new_database_with_tables` copies
        self.url = f"postgresql://{ACCOUNT}@/postgres?host={folder}"
        if os.geteuid() == 0:
            account = pwd.getpwnam(ACCOUNT)
            os.chown(folder, account.pw_uid, account.pw_gid)
            folder.chmod(0o711)
        self._run("initdb", "-D", str(self._data), "-U", ACCOUNT, "-A", "trust", "--no-sync")

    def start(self) -> None:
        # Without fsync a commit survives the end of the server, but not that of the machine.
        options = f"-c listen_addresses= -k {self._folder} -c max_connections=200 -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop")

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        return self._url_of(self._create("template1"))

    def new_database_with_tables(self) -> str:
        """Create a database with the empty tables of jobs and return its URL.

        It is a copy: creating the tables takes ten times as long.
        """
        if not self._template:
            name = self._create("template1")
            with tempfile.TemporaryDirectory() as folder:
                JobDatabase(JobsOptions(Path(folder), self._url_of(name))).close()
            self._template = name
        return self._url_of(self._create(self._template))

    def _create(self, template: str) -> str:
        """Create a database and return its name."""
        name = f"test_{uuid.uuid4().hex}"
        engine = sa.create_engine(
            sa.make_url(self.url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        engine.dispose()
        return name

    def _url_of(self, name: str) -> str:
        return self.url.replace("/postgres?", f"/{name}?")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(PROGRAMS[-1] / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", ACCOUNT, "--", *command]
        done = subprocess.run(
            command,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stderr.decode()}")


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Run a Postgres server; skip the test where there is none."""
    if not PROGRAMS:
        pytest.skip("Postgres is not installed")
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        pytest.skip("Postgres does not run as root, and there is no runuser")
    folder = Path(tempfile.mkdtemp(prefix="stt-postgres-"))
    try:
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
