"""The native door, /ws/stt: docs/protocol.md spoken over one WebSocket."""

import asyncio
import dataclasses
import logging
import re
import uuid
from typing import Any

from starlette.websockets import WebSocket

from server.admission import Admission
from server.conversation import Conversation
from server.engine import Engine
from server.errors import CLOSE_BAD_REQUEST, CLOSE_RESTART, ClientError, internal, models_not_ready
from server.metrics import Metrics
from server.preferences import Preferences
from server.settings import Settings
from server.socket import Socket, SocketClosed
from stream.pump import Pump

log = logging.getLogger(__name__)


class NativeDoor:
    """What all connections to /ws/stt share."""

    def __init__(self, settings: Settings, engine: Engine, admission: Admission, metrics: Metrics) -> None:
        self._settings = settings
        self._engine = engine
        self._admission = admission
        self._metrics = metrics

    async def serve(self, websocket: WebSocket) -> None:
        """One connection, from the handshake to its close."""
        await websocket.accept()
        socket = Socket(
            websocket,
            max_message_bytes=self._settings.max_message_bytes,
            send_timeout=self._settings.send_timeout_seconds,
        )
        try:
            await self._converse(socket, dict(websocket.query_params))
        except ClientError as error:
            await self._refuse(socket, error)
        except asyncio.CancelledError:  # the server waits no longer; this task ends here anyway
            await socket.close(CLOSE_RESTART, "server_restarting")
        except Exception:  # a fault of ours: said here and to the client, and nobody else notices
            log.exception("a connection failed")
            await self._refuse(socket, internal("The server failed on this connection."))

    async def _converse(self, socket: Socket, query: dict[str, str]) -> None:
        if self._engine.models is None:
            raise models_not_ready()
        preferences = Preferences(self._settings.session_options()).merged(session_from_query(query))
        name = uuid.uuid4().hex[:12]
        pump = Pump(self._engine.models, preferences.options, name)
        conversation = Conversation(name, socket, pump, preferences, self._metrics)
        with self._admission.admit(conversation.stop), pump:
            self._metrics.sessions_total.inc()
            await conversation.run(self._greeting())

    def _greeting(self) -> dict[str, object]:
        description = self._engine.description
        return {
            "limits": {"max_message_bytes": self._settings.max_message_bytes},
            "recognizer": dataclasses.asdict(description) if description else None,
        }

    async def _refuse(self, socket: Socket, error: ClientError) -> None:
        self._metrics.errors.labels(error.code).inc()
        try:
            await socket.send(error.as_event() | {"event_id": "event_0", "seq": 0})
        except SocketClosed:
            return
        await socket.close(error.close or CLOSE_BAD_REQUEST, error.code)


def session_from_query(query: dict[str, str]) -> dict[str, Any]:
    """What the URL says of the session, in the form of `session.update`.

    events ("all", or names with commas), language, prompt, format, sample_rate, channels, include_audio,
    words.
    A number or a truth value that is none stays a string, for the session object's own check to refuse.
    """
    session: dict[str, Any] = {
        name: query[name] for name in ("language", "prompt", "format") if name in query
    }
    if "events" in query:
        session["events"] = "all" if query["events"] == "all" else query["events"].split(",")
    for name in ("sample_rate", "channels"):
        if name in query:
            number = re.fullmatch("[0-9]{1,9}", query[name])
            session[name] = int(query[name]) if number else query[name]
    for name in ("include_audio", "words"):
        if name in query:
            session[name] = {"true": True, "1": True, "false": False, "0": False}.get(
                query[name], query[name]
            )
    return session
