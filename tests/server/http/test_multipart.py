"""Test parsing a form with a file incrementally."""

from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ApiError
from server.http.multipart import MAX_FIELD_BYTES, MAX_FIELDS, MultipartForm
from tests.server.asgi_calls import asking

FILE = b"RIFF\r\n--not the boundary\r\n" * 9
WANTED = [("model", "whisper-1"), ("prompt", "Ärger\r\nmit --"), ("keywords[]", "a"), ("keywords[]", "b")]


def encoded(request: httpx.Request) -> tuple[str, bytes]:
    return request.headers["content-type"], request.read()


SENT: dict[str, Any] = {"prompt": "Ärger\r\nmit --", "keywords[]": ["a", "b"]}
TYPE, BODY = encoded(asking(file=FILE, **SENT))
BOUNDARY = TYPE.partition("boundary=")[2]


def part(disposition: str, data: bytes = b"") -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def parsed(*chunks: bytes, content_type: str = TYPE) -> tuple[MultipartForm, bytes]:
    form = MultipartForm(content_type)
    file = b"".join(piece for chunk in chunks for piece in form.feed(chunk))
    form.finish()
    return form, file


@given(st.lists(st.integers(0, len(BODY)), max_size=9).map(sorted))
def test_fields_and_file_are_the_same_wherever_the_body_is_cut(cuts: list[int]) -> None:
    places = [0, *cuts, len(BODY)]
    form, file = parsed(*(BODY[a:b] for a, b in pairwise(places)))
    assert (file, sorted(form.fields), form.has_file) == (FILE, sorted(WANTED), True)


def test_the_file_may_stand_first_or_last() -> None:
    field, file = part('name="model"', b"m"), part('name="file"; filename="a.wav"', b"sound")
    for body in (field + file + END, file + field + END):
        form, sound = parsed(body)
        assert (form.fields, sound) == ([("model", "m")], b"sound")


def test_a_file_needs_no_name_of_its_own() -> None:
    form, sound = parsed(part('name="file"', b"sound") + END)
    assert (form.has_file, sound) == (True, b"sound")


def test_other_files_are_not_held() -> None:
    other = part('name="x"; filename="y"', b"z" * (MAX_FIELD_BYTES + 1))
    form, sound = parsed(other + END)
    assert (form.fields, form.has_file, sound) == ([], False, b"")


def test_references_to_speakers_have_a_limit_of_their_own() -> None:
    name = "known_speaker_references[]"
    text = "z" * (MAX_FIELD_BYTES + 1)
    reference = part(f'name="{name}"', text.encode())
    form, _ = parsed(reference + part('name="model"', b"m") + END)
    assert form.fields == [(name, text), ("model", "m")]
    with pytest.raises(ApiError, match="known_speaker_references hold more than 8388608 bytes"):
        parsed(reference * 8 + END)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (BODY[: len(BODY) // 2], "ends before its last boundary"),
        (b"", "ends before its last boundary"),
        (b"this is no form", "malformed"),
        (part("filename=x") + END, "has no name"),
        (part('name="file"', b"1") + part('name="file"', b"2") + END, "More than one file"),
        (part('name="prompt"', b"x" * (MAX_FIELD_BYTES + 1)) + END, "hold more than 1048576 bytes"),
        (part('name="a"') * (MAX_FIELDS + 1) + END, "More than 2000 fields"),
    ],
)
def test_malformed_or_oversized_form_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(ApiError, match=message) as refused:
        parsed(body)
    assert refused.value.status == 400


def test_a_form_needs_a_boundary() -> None:
    with pytest.raises(ApiError, match="no boundary"):
        MultipartForm("multipart/form-data")


def test_a_boundary_that_is_too_long_is_named() -> None:
    with pytest.raises(ApiError, match="Boundary length 300 exceeds"):
        MultipartForm("multipart/form-data; boundary=" + "e" * 300)


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("talk.wav", "talk.wav"),
        ("C:\\\\Users\\\\me\\\\talk.wav", "talk.wav"),
        ("../../etc/passwd", "passwd"),
        ("a\tb\x00.wav", "ab.wav"),
        ("x" * 300, "x" * 255),
    ],
)
def test_the_file_keeps_its_name_without_folders(sent: str, name: str) -> None:
    form, _ = parsed(part(f'name="file"; filename="{sent}"', b"sound") + END)
    assert form.file_name == name


def test_a_protocol_may_name_the_file_part_otherwise() -> None:
    form = MultipartForm(TYPE, "audio")
    body = part('name="file"; filename="a.wav"', b"other") + part('name="audio"', b"sound") + END
    assert (form.feed(body), form.has_file, form.file_name) == ([b"sound"], True, "")
