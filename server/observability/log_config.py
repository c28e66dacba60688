"""Configure logging: one line per event, as text or JSON, with its session, key and utterance."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

session_id: ContextVar[str | None] = ContextVar("session_id", default=None)
key_name: ContextVar[str | None] = ContextVar("key_name", default=None)  # of the API key

# Messages of uvicorn: a WebSocket was accepted or refused; a text message is not UTF-8.
HANDSHAKE: Final = '%s - "WebSocket %s" '
BAD_TEXT: Final = "Invalid UTF-8 sequence received from client."
# Messages of DBOS about what is expected here: SQLite is enough for one machine; a job was cancelled, deleted
# or taken over by another worker while it ran, and then its row in DBOS's tables may be gone, too.
DBOS_EXPECTED: Final = (
    "Using SQLite as a system database",
    "outcome was not recorded",
    "is no longer owned by this execution",
    "was cancelled during execution",
)
DBOS_UNIT_FAILED: Final = "Exception encountered in background workflow:"
DBOS_UNIT_GONE: Final = frozenset({"DBOSNonExistentWorkflowError", "DBOSAwaitedWorkflowCancelledError"})


class LogFormat(StrEnum):
    """Name the formats of log lines."""

    TEXT = "text"
    JSON = "json"


class _ContextFilter(logging.Filter):
    """Add the session and the key to a record: those it names itself, or those of the current context."""

    def filter(self, record: logging.LogRecord) -> bool:
        session, key = getattr(record, "session", None) or session_id.get(), key_name.get()
        record.session, record.key = session, key
        record.about = f"{session or '-'} {key}" if key else session or "-"
        return True


class _UvicornFilter(logging.Filter):
    """Remove URL queries, which may hold a token, and tracebacks of client faults from lines of uvicorn."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "uvicorn.error" and record.msg == BAD_TEXT:
            record.exc_info, record.levelno, record.levelname = None, logging.INFO, "INFO"
        elif str(record.msg).startswith(HANDSHAKE) and isinstance(record.args, tuple):
            client, url, *more = record.args
            record.args = (client, str(url).partition("?")[0], *more)
        return True


class _DbosFilter(logging.Filter):
    """Remove lines of DBOS about what is expected; it would write a job that was cancelled as an error."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name != "dbos":
            return True
        message = str(record.msg)
        if message == DBOS_UNIT_FAILED and record.exc_info and record.exc_info[0] is not None:
            return record.exc_info[0].__name__ not in DBOS_UNIT_GONE
        return not any(part in message for part in DBOS_EXPECTED)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("session", "key", "utterance"):
            value = getattr(record, name, None)
            if value is not None:
                fields[name] = value
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)  # orjson refuses lone surrogates, which file names may contain


def set_up(level: str, log_format: LogFormat) -> None:
    """Send the records of every logger, including uvicorn's, to stderr in one format.

    level: name of the lowest level that is logged
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_ContextFilter())
    handler.addFilter(_UvicornFilter())
    handler.addFilter(_DbosFilter())
    if log_format is LogFormat.JSON:
        handler.setFormatter(_JsonFormatter())
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)-7s %(name)s [%(about)s] %(message)s")
        )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # DBOS adds a handler of its own, with its own format, to a logger without one.
    dbos = logging.getLogger("dbos")
    dbos.handlers, dbos.propagate = [logging.NullHandler()], True
    dbos.setLevel(logging.WARNING)
    # They log each request of a download with its URL, which may be signed.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # At level debug it would log every header and every frame.
    logging.getLogger("uvicorn.error").setLevel(max(logging.INFO, logging.getLogger().level))
