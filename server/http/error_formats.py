"""Write the errors of HTTP requests in the format of the protocol that the path belongs to."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from server.errors import ApiError

ErrorFormat = Callable[[ApiError, Mapping[str, Any]], Response]  # given the error and the scope


def openai_error(error: ApiError, scope: Mapping[str, Any]) -> Response:
    """Return an error as OpenAI's API writes it."""
    return JSONResponse(error.as_body(), error.status, error.headers)


class ErrorFormats:
    """Choose the format of an error by the path of the request.

    by_path: formats other than OpenAI's; a path that ends with a slash stands for all paths below it
    """

    def __init__(self, by_path: Mapping[str, ErrorFormat] | None = None) -> None:
        self._by_path = dict(by_path or {})

    def response(self, error: ApiError, scope: Mapping[str, Any]) -> Response:
        """Return the response for an error of a request."""
        path: str = scope["path"]
        above = path[: path.rfind("/") + 1]
        render = self._by_path.get(path) or self._by_path.get(above) or openai_error
        return render(error, scope)
