"""Errors that a client is told of: a code, a sentence, and whether the connection ends with it."""

from typing import Final

CLOSE_NORMAL: Final = 1000
CLOSE_TOO_LARGE: Final = 1009
CLOSE_INTERNAL: Final = 1011
CLOSE_RESTART: Final = 1012
CLOSE_TRY_LATER: Final = 1013
CLOSE_BAD_REQUEST: Final = 4000
CLOSE_TAKEN_OVER: Final = 4009
CLOSE_SLOW: Final = 4013


class ClientError(Exception):
    """Something a client must hear of.

    code: one of those in docs/protocol.md
    param: the field at fault; event_id: the client's own id of the message
    close: WebSocket close code, where the connection ends with it
    retryable: the same request may succeed later
    reason: of the close, where it is not the code
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        event_id: str | None = None,
        close: int | None = None,
        server: bool = False,
        retryable: bool = False,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.event_id = event_id
        self.close = close
        self.server = server
        self.retryable = retryable
        self.reason = reason or code

    def as_event(self) -> dict[str, object]:
        """The `error` event, in our shape and OpenAI's at once."""
        return {
            "type": "error",
            "message": self.message,
            "error": {
                "type": "server_error" if self.server else "invalid_request_error",
                "code": self.code,
                "message": self.message,
                "param": self.param,
                "event_id": self.event_id,
                "retryable": self.retryable,
            },
        }


def models_not_ready(message: str = "Server models not initialized.") -> ClientError:
    return ClientError("models_not_ready", message, close=CLOSE_TRY_LATER, server=True, retryable=True)


def model_unavailable(message: str) -> ClientError:
    return ClientError(
        "model_unavailable", message, param="model", close=CLOSE_TRY_LATER, server=True, retryable=True
    )


def overloaded(message: str) -> ClientError:
    return ClientError("server_overloaded", message, close=CLOSE_TRY_LATER, server=True, retryable=True)


def restarting() -> ClientError:
    return ClientError(
        "server_restarting", "The server is stopping.", close=CLOSE_RESTART, server=True, retryable=True
    )


def internal(message: str) -> ClientError:
    return ClientError("internal_error", message, close=CLOSE_INTERNAL, server=True, retryable=True)


def idle() -> ClientError:
    """The reason is Deepgram's: theirs is the one protocol here that ends whoever says nothing."""
    message = "Nothing was heard from the client."
    return ClientError("idle_timeout", message, close=CLOSE_INTERNAL, reason="NET-0001")


def resume_unknown() -> ClientError:
    return ClientError(
        "resume_unknown", "There is no such session, or not all that was missed.", close=CLOSE_BAD_REQUEST
    )
