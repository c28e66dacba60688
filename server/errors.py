"""Define the errors that are sent to clients, with their HTTP statuses and WebSocket close codes."""

import math
from typing import Final, Literal, TypedDict

CLOSE_NORMAL: Final = 1000
CLOSE_TOO_LARGE: Final = 1009
CLOSE_INTERNAL: Final = 1011
CLOSE_RESTART: Final = 1012
CLOSE_TRY_LATER: Final = 1013
CLOSE_UNAUTHORIZED: Final = 3000
CLOSE_BAD_REQUEST: Final = 4000
CLOSE_TAKEN_OVER: Final = 4009
CLOSE_SLOW: Final = 4013
CLOSE_TOO_MANY: Final = 4029

TOO_MANY: Final = 429  # HTTP status


class ErrorFields(TypedDict):
    """Hold the `error` object, which has the fields of OpenAI's protocol and of the native one."""

    type: Literal["server_error", "invalid_request_error"]
    code: str
    message: str
    param: str | None
    event_id: str | None
    retryable: bool


class ErrorEvent(TypedDict):
    """Report an error to a client of the native protocol or of OpenAI's."""

    type: Literal["error"]
    message: str
    error: ErrorFields


class ClientError(Exception):
    """Describe an error that is sent to the client.

    code: one of the codes in docs/protocol.md
    param: the field at fault, if there is one
    event_id: the id that the client gave to the message at fault
    close: WebSocket close code, if the connection ends with the error
    server: whether the server is at fault, not the request
    retryable: whether the same request may succeed later
    reason: reason of the close; the code if not given
    status: HTTP status; if not given, 503 for retryable errors and else 400
    retry_after: seconds after which a retry is likely to succeed, if known
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
        status: int | None = None,
        retry_after: float | None = None,
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
        self.status = status
        self.retry_after = retry_after

    def as_event(self) -> ErrorEvent:
        """Return the `error` event."""
        return ErrorEvent(
            type="error",
            message=self.message,
            error=ErrorFields(
                type="server_error" if self.server else "invalid_request_error",
                code=self.code,
                message=self.message,
                param=self.param,
                event_id=self.event_id,
                retryable=self.retryable,
            ),
        )


def models_not_ready(message: str = "Server models not initialized.") -> ClientError:
    """Return the error for models that are still being loaded."""
    return ClientError("models_not_ready", message, close=CLOSE_TRY_LATER, server=True, retryable=True)


def model_unavailable(message: str) -> ClientError:
    """Return the error for a model that cannot be used at present."""
    return ClientError(
        "model_unavailable", message, param="model", close=CLOSE_TRY_LATER, server=True, retryable=True
    )


def speakers_unavailable(message: str) -> ClientError:
    """Return the error for speakers that cannot be named; the session continues without their names."""
    return ClientError(
        "speakers_unavailable", message, param="session.known_speakers", server=True, retryable=True
    )


def overloaded(message: str, retry_after: float | None = None) -> ClientError:
    """Return the error for a server without capacity; retry_after is in seconds."""
    return ClientError(
        "server_overloaded",
        message,
        close=CLOSE_TRY_LATER,
        server=True,
        retryable=True,
        retry_after=retry_after,
    )


def session_limit_reached(most: int, retry_after: float) -> ClientError:
    """Return the error for a key that has `most` open sessions; retry_after is in seconds."""
    return ClientError(
        "session_limit_reached",
        f"{most} streams are open with this key, which is its limit.",
        close=CLOSE_TOO_MANY,
        retryable=True,
        status=TOO_MANY,
        retry_after=retry_after,
    )


def rate_limited(message: str, retry_after: float | None, reason: str | None = None) -> ClientError:
    """Return the error for a client that exceeded a rate limit; retry_after is in seconds."""
    return ClientError(
        "rate_limit_exceeded",
        message,
        close=CLOSE_TOO_MANY,
        retryable=True,
        reason=reason,
        status=TOO_MANY,
        retry_after=retry_after,
    )


def as_rate_limit(error: ClientError) -> ClientError:
    """Return any error of a client's own limits as rate_limit_exceeded, and other errors unchanged.

    The protocols of OpenAI have this one code for all limits.
    """
    if error.status != TOO_MANY:
        return error
    return rate_limited(error.message, error.retry_after, "invalid_request_error.rate_limit_exceeded")


def restarting() -> ClientError:
    """Return the error for a server that is stopping."""
    return ClientError(
        "server_restarting", "The server is stopping.", close=CLOSE_RESTART, server=True, retryable=True
    )


def internal(message: str) -> ClientError:
    """Return the error for a fault of the server itself."""
    return ClientError("internal_error", message, close=CLOSE_INTERNAL, server=True, retryable=True)


def resume_unknown() -> ClientError:
    """Return the error for a session that cannot be resumed."""
    return ClientError(
        "resume_unknown",
        "The session is unknown, or some missed messages are no longer buffered.",
        close=CLOSE_BAD_REQUEST,
    )


def invalid_api_key(message: str) -> ClientError:
    """Return the error for a missing or wrong API key.

    The close reason is OpenAI's, because only its protocol reports this error after the upgrade.
    """
    reason = "invalid_request_error.invalid_api_key"
    return ClientError("invalid_api_key", message, close=CLOSE_UNAUTHORIZED, reason=reason, status=401)


def token_not_enough() -> ClientError:
    """Return the error for a token in a request that needs an API key."""
    return ClientError("token_not_enough", "A token cannot create a token: send the API key.", status=403)


KEYS_NEEDED: Final = "keys_needed"


def keys_needed() -> ClientError:
    """Return the error for a remote request to a server without API keys."""
    message = (
        "This server has no API keys, so it serves its own machine only, under the name localhost. "
        "Its operator can set API_KEYS or API_KEYS_FILE, or AUTH_WITHOUT_KEYS=everyone."
    )
    return ClientError(KEYS_NEEDED, message, status=403)


ORIGIN_NOT_ALLOWED: Final = "origin_not_allowed"


def origin_not_allowed(origin: str) -> ClientError:
    """Return the error for a web page whose origin is not allowed."""
    origin = origin[:200]
    message = (
        f"The origin {origin!r} is not allowed. The operator of this server can allow it with the setting "
        f"ORIGINS={origin}"
    )
    return ClientError(ORIGIN_NOT_ALLOWED, message, status=403)


RETRY_SECONDS: Final = 1.0  # shortest wait before a retry


class ApiError(Exception):
    """Describe an HTTP error response: its status and the four fields of OpenAI's error object.

    type: invalid_request_error if the request is at fault, else server_error
    param: the field of the request that is wrong
    code: code for programs; None where OpenAI has none
    headers: headers of the response
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = "server_error" if status >= 500 or status == 413 else "invalid_request_error"
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def as_body(self) -> dict[str, object]:
        """Return the JSON body of the response."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """Return the error 400 for a wrong request."""
    return ApiError(400, message, param=param, code=code)


def missing(param: str) -> ApiError:
    """Return the error 400 for a missing field."""
    return invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def too_large(limit: int, read: int) -> ApiError:
    """Return the error 413 with OpenAI's message; limit and read are in bytes."""
    return ApiError(413, f"Maximum content size limit ({limit}) exceeded ({read} bytes read)")


def try_again(
    message: str,
    code: str,
    param: str | None = None,
    *,
    status: int = 503,
    retry_after: float | None = None,
) -> ApiError:
    """Return an error with a Retry-After header in seconds, after which SDKs retry by themselves."""
    seconds = math.ceil(max(RETRY_SECONDS, retry_after or 0.0))
    return ApiError(status, message, param=param, code=code, headers={"retry-after": str(seconds)})
