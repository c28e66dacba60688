"""Logs: one line an event, as text or JSON, with the session, the key and the utterance that it is about."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

session_id: ContextVar[str | None] = ContextVar("session_id", default=None)
key_name: ContextVar[str | None] = ContextVar("key_name", default=None)  # whose it is

# What uvicorn says of a WebSocket that it has taken or refused, and of a text that is none.
HANDSHAKE: Final = '%s - "WebSocket %s" '
BAD_TEXT: Final = "Invalid UTF-8 sequence received from client."


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class _AboutFilter(logging.Filter):
    """Whom a record is about: the session under way, or that which it names itself where none is."""

    def filter(self, record: logging.LogRecord) -> bool:
        session, key = getattr(record, "session", None) or session_id.get(), key_name.get()
        record.session, record.key = session, key
        record.about = f"{session or '-'} {key}" if key else session or "-"
        return True


class _DiscreetFilter(logging.Filter):
    """uvicorn's lines without the query of a URL, which may hold a token, and without a traceback for what is
    the client's fault."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "uvicorn.error" and record.msg == BAD_TEXT:
            record.exc_info, record.levelno, record.levelname = None, logging.INFO, "INFO"
        elif str(record.msg).startswith(HANDSHAKE) and isinstance(record.args, tuple):
            client, url, *more = record.args
            record.args = (client, str(url).partition("?")[0], *more)
        return True


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
        return json.dumps(fields)  # orjson refuses what is no Unicode, and the name of a file may be that


def set_up(level: str, form: LogFormat) -> None:
    """Sends every logger's records, uvicorn's too, to stderr in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_AboutFilter())
    handler.addFilter(_DiscreetFilter())
    if form is LogFormat.JSON:
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
    # They log each request of a download, with the address that a client gave, which may be signed.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # At debug it would log every header and every frame.
    logging.getLogger("uvicorn.error").setLevel(max(logging.INFO, logging.getLogger().level))
