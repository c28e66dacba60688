"""What can go wrong for a client. An `error` message of the server is no exception: it is an event, Error."""


class ClientError(Exception):
    """The base of all errors of this library."""


class ConnectFailed(ClientError):
    """No stream came about: nobody listens there, or the server refused.

    status: of the HTTP answer that refused, None where there was none; 429 and 503 may do later
    retry_after: seconds after which the server expects that they do, where it says so
    """

    def __init__(self, message: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ConnectionLost(ClientError):
    """The stream ended before its time, or it is closed already.

    code: close code of docs/protocol.md; 1006 when the connection broke without one
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"connection closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class BacklogFull(ClientError):
    """Nothing that was sent has arrived for as long as a stream waits, and no more sound can be kept."""


class ProtocolError(ClientError):
    """The server sent something that docs/protocol.md does not allow."""


class AudioError(ClientError):
    """Sound that cannot be read or recorded; the message says why and what to do."""
