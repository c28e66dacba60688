"""HttpError: an HTTP request that is not answered as it was meant, and how OpenAI's envelope tells of it."""

import math
from typing import Final

RETRY_SECONDS: Final = 1.0  # after which a model may be loaded


class HttpError(Exception):
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


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> HttpError:
    return HttpError(400, message, param=param, code=code)


def missing(param: str) -> HttpError:
    return invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def too_large(limit: int, read: int) -> HttpError:
    """limit, read: bytes; as OpenAI says it, word for word."""
    return HttpError(413, f"Maximum content size limit ({limit}) exceeded ({read} bytes read)")


def try_again(
    message: str,
    code: str,
    param: str | None = None,
    *,
    status: int = 503,
    retry_after: float | None = None,
) -> HttpError:
    """Not now, but perhaps in so many seconds: the SDKs come back by themselves."""
    seconds = math.ceil(max(RETRY_SECONDS, retry_after or 0.0))
    return HttpError(status, message, param=param, code=code, headers={"retry-after": str(seconds)})
