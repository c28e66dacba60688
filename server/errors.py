"""Errors that a client is told of: a code, a sentence, and whether the connection ends with it."""

import math
from typing import Final

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

TOO_MANY: Final = 429  # as HTTP says it


class ClientError(Exception):
    """Something a client must hear of.

    code: one of those in docs/protocol.md
    param: the field at fault; event_id: the client's own id of the message
    close: WebSocket close code, where the connection ends with it
    retryable: the same request may succeed later
    reason: of the close, where it is not the code
    status: of the HTTP answer, where it is neither 400 nor, for what may succeed later, 503
    retry_after: seconds after which it is likely to, where that is known
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


def overloaded(message: str, retry_after: float | None = None) -> ClientError:
    return ClientError(
        "server_overloaded",
        message,
        close=CLOSE_TRY_LATER,
        server=True,
        retryable=True,
        retry_after=retry_after,
    )


def session_limit_reached(most: int, retry_after: float) -> ClientError:
    return ClientError(
        "session_limit_reached",
        f"{most} streams are open with this key, which is its limit.",
        close=CLOSE_TOO_MANY,
        retryable=True,
        status=TOO_MANY,
        retry_after=retry_after,
    )


def rate_limited(message: str, retry_after: float | None, reason: str | None = None) -> ClientError:
    return ClientError(
        "rate_limit_exceeded",
        message,
        close=CLOSE_TOO_MANY,
        retryable=True,
        reason=reason,
        status=TOO_MANY,
        retry_after=retry_after,
    )


def in_openai_words(error: ClientError) -> ClientError:
    """OpenAI has one code for all limits of a client's own."""
    if error.status != TOO_MANY:
        return error
    return rate_limited(error.message, error.retry_after, "invalid_request_error.rate_limit_exceeded")


def restarting() -> ClientError:
    return ClientError(
        "server_restarting", "The server is stopping.", close=CLOSE_RESTART, server=True, retryable=True
    )


def internal(message: str) -> ClientError:
    return ClientError("internal_error", message, close=CLOSE_INTERNAL, server=True, retryable=True)


def resume_unknown() -> ClientError:
    return ClientError(
        "resume_unknown", "There is no such session, or not all that was missed.", close=CLOSE_BAD_REQUEST
    )


def invalid_api_key(message: str) -> ClientError:
    """The reason is OpenAI's: theirs is the one protocol here that tells of it after the upgrade."""
    reason = "invalid_request_error.invalid_api_key"
    return ClientError("invalid_api_key", message, close=CLOSE_UNAUTHORIZED, reason=reason, status=401)


def token_not_enough() -> ClientError:
    return ClientError("token_not_enough", "A token makes no other: this takes the key itself.", status=403)


def keys_needed() -> ClientError:
    message = (
        "This server has no keys, so it serves its own machine only, under the name localhost. "
        "Whoever runs it can give it API_KEYS or API_KEYS_FILE, or say AUTH_WITHOUT_KEYS=everyone."
    )
    return ClientError("keys_needed", message, status=403)


def origin_not_allowed(origin: str) -> ClientError:
    message = f"Pages from {origin[:200]!r} may not come here: ORIGINS does not name it."
    return ClientError("origin_not_allowed", message, status=403)


RETRY_SECONDS: Final = 1.0  # after which a model may be loaded


class ApiError(Exception):
    """A status, and the four fields of the envelope.

    type: server_error where it is not the request's fault, invalid_request_error else
    param: the field of the request that is wrong; code: what programs compare, None where OpenAI has none
    headers: of the answer
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
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> ApiError:
    return ApiError(400, message, param=param, code=code)


def missing(param: str) -> ApiError:
    return invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def too_large(limit: int, read: int) -> ApiError:
    """limit, read: bytes; as OpenAI says it, word for word."""
    return ApiError(413, f"Maximum content size limit ({limit}) exceeded ({read} bytes read)")


def try_again(
    message: str,
    code: str,
    param: str | None = None,
    *,
    status: int = 503,
    retry_after: float | None = None,
) -> ApiError:
    """Not now, but perhaps in so many seconds: the SDKs come back by themselves."""
    seconds = math.ceil(max(RETRY_SECONDS, retry_after or 0.0))
    return ApiError(status, message, param=param, code=code, headers={"retry-after": str(seconds)})
