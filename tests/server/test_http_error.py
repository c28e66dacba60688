"""An error of HTTP in OpenAI's envelope."""

import pytest

from server.http_error import HttpError, invalid, missing, too_large, try_again


@pytest.mark.parametrize(
    ("error", "status", "type_", "param", "code"),
    [
        (invalid("x", "language"), 400, "invalid_request_error", "language", "invalid_value"),
        (missing("file"), 400, "invalid_request_error", "file", "missing_required_parameter"),
        (too_large(10, 11), 413, "server_error", None, None),
        (try_again("x", "models_not_ready"), 503, "server_error", None, "models_not_ready"),
        (HttpError(404, "x"), 404, "invalid_request_error", None, None),
        (HttpError(500, "x"), 500, "server_error", None, None),
    ],
)
def test_all_four_fields_are_always_there(
    error: HttpError, status: int, type_: str, param: str | None, code: str | None
) -> None:
    assert error.status == status
    assert error.as_body() == {
        "error": {"message": error.message, "type": type_, "param": param, "code": code}
    }


def test_too_many_bytes_are_told_in_openais_words() -> None:
    assert str(too_large(26214400, 26214500)) == (
        "Maximum content size limit (26214400) exceeded (26214500 bytes read)"
    )


def test_who_is_to_come_again_is_told_when() -> None:
    assert int(try_again("x", "y").headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("seconds", "header"), [(None, "1"), (0.0, "1"), (0.2, "1"), (6.1, "7"), (3600.0, "3600")]
)
def test_the_wait_is_told_in_whole_seconds_and_never_too_short(seconds: float | None, header: str) -> None:
    told = try_again("later", "rate_limit_exceeded", status=429, retry_after=seconds)
    assert (told.status, told.headers) == (429, {"retry-after": header})
