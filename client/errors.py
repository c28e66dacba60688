"""Define the errors of the client; an `error` message of the server is an event instead, Error."""


class SttClientError(Exception):
    """The base of all errors of this library."""


class ConnectFailed(SttClientError):
    """No stream could be opened: no server listens at the address, or the server rejected it.

    status: HTTP status of the rejection, or None; with 429 and 503 a later attempt may succeed
    retry_after: seconds after which the server expects that, or None
    """

    def __init__(self, message: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ConnectionLost(SttClientError):
    """The stream ended prematurely, or is already closed.

    code: close code of docs/protocol.md; 1006 if the connection broke without one
    reason: close reason
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"connection closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class BacklogFull(SttClientError):
    """The send buffer is full, and the server has acknowledged nothing for too long."""


class ProtocolError(SttClientError):
    """The server sent a message that docs/protocol.md does not allow."""


class AudioInputError(SttClientError):
    """Audio cannot be read or recorded; the message says why and what to do."""
