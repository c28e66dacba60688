"""Define the tables of jobs, and open their database: SQLite on one machine, Postgres for several."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event, exc

metadata: Final = sa.MetaData()

# What the driver raises while the database is locked, stopped, out of reach or out of space.
OUTAGES: Final = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)

# Times are seconds since the epoch. Columns of structured values are JSON (jobs/serialization.py).
jobs: Final = sa.Table(
    "stt_jobs",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("protocol", sa.String(50), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("priority", sa.String(20), nullable=False),
    sa.Column("round", sa.Integer, nullable=False),  # see JobStore.submit
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("started", sa.Double),
    sa.Column("finished", sa.Double),
    sa.Column("expires", sa.Double),
    sa.Column("url", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("audio", sa.String(128)),
    sa.Column("size", sa.BigInteger),
    sa.Column("options", sa.Text, nullable=False),
    sa.Column("idempotency_key", sa.String(200)),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("bytes_done", sa.BigInteger, nullable=False),
    sa.Column("bytes_total", sa.BigInteger),
    sa.Column("seconds_done", sa.Double, nullable=False),
    sa.Column("seconds_total", sa.Double),
    sa.Column("lease", sa.String(64)),  # of the run that may write; NULL if none
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("model", sa.Text),
    sa.Column("language", sa.Text),
    sa.Column("problem", sa.Text),
    sa.Column("warnings", sa.Text, nullable=False),
    sa.Column("callback", sa.String(20)),
    sa.Column("stripped", sa.Boolean, nullable=False),  # expired, and kept only for its callback
    sa.Column("revision", sa.Integer, nullable=False),  # grows with each change that a client can see
    sa.Column("worker", sa.String(200)),  # that began the last run; NULL if it is unknown
    sa.Column("channels", sa.Integer),  # that are transcribed apart; NULL if they are mixed, or unknown
    sa.Column("tracks", sa.Text),  # NULL until they are known
    sa.Column("step", sa.String(20)),  # what is done now that the text is known; NULL otherwise
    sa.Column("summary", sa.Text),  # NULL if it is not wanted, or not known yet
    sa.Column("chapters", sa.Text),  # NULL likewise
    sa.UniqueConstraint("owner", "idempotency_key", name="stt_jobs_idempotency"),
    sa.Index("stt_jobs_by_owner", "owner", "created", "id"),
    sa.Index("stt_jobs_by_state", "state", "priority", "round", "created"),
    sa.Index("stt_jobs_by_owner_and_state", "owner", "state", "round"),
    sa.Index("stt_jobs_by_audio", "audio"),
    sa.Index("stt_jobs_by_expiry", "expires"),
    sa.Index("stt_jobs_by_size", "size"),  # of which each submission reads the sum
)
parts: Final = sa.Table(
    "stt_job_parts",
    metadata,
    sa.Column("job", sa.String(64), sa.ForeignKey("stt_jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("end", sa.BigInteger, nullable=False),  # sample of the file
    sa.Column("segments", sa.Text, nullable=False),
    sa.Column("filtered", sa.Text),  # NULL if an earlier version of the server wrote the part
)
deliveries: Final = sa.Table(
    "stt_job_deliveries",
    metadata,
    sa.Column("job", sa.String(64), sa.ForeignKey("stt_jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("error", sa.Text),
)
workers: Final = sa.Table(
    "stt_job_workers",
    metadata,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("beat", sa.BigInteger, nullable=False),  # grows while the worker lives
)


def open_sqlite(path: Path) -> sa.Engine:
    """Open a database in a file, which is made if it is missing; then only its user can read it.

    WAL lets readers read while one connection writes; FULL keeps what was committed over a loss of power;
    secure_delete overwrites what is deleted.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        # Only a new file may be closed here: closing one drops all locks that this process has on it, so that
        # others would take its connections for closed (sqlite.org/howtocorrupt.html, 2.2). SQLite gives its
        # other files the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    engine = sa.create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: object) -> None:
        connection.isolation_level = "IMMEDIATE"  # a writer waits for others, instead of failing midway
        for pragma in (
            "busy_timeout=30000",
            "foreign_keys=ON",
            "journal_mode=WAL",
            "synchronous=FULL",
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def open_postgres(url: str) -> sa.Engine:
    """Open a Postgres database, given by a URL as libpq takes it."""
    parsed = sa.make_url(url).set(drivername="postgresql+psycopg")
    return sa.create_engine(parsed, pool_pre_ping=True)


def create_tables(engine: sa.Engine) -> None:
    """Create the tables and columns that are missing; concurrent processes may do so at the same time.

    Columns that an earlier version does not know can be NULL, since processes of it may still write rows.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # CREATE TABLE IF NOT EXISTS still races there
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7305931)"))
        else:
            connection.execute(sa.text("BEGIN IMMEDIATE"))
        metadata.create_all(connection)
        for table in metadata.sorted_tables:
            present = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
            for column in table.columns:
                if column.name not in present:
                    connection.execute(
                        sa.text(f"ALTER TABLE {table.name} ADD COLUMN {_declared(column, engine)}")
                    )


def _declared(column: sa.Column[Any], engine: sa.Engine) -> str:
    assert column.nullable
    return f"{column.name} {column.type.compile(engine.dialect)}"
