"""Parse a multipart form with a file (RFC 7578) incrementally, without I/O."""

from dataclasses import dataclass, field
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from server.errors import invalid

FILE: Final = "file"  # name of the part whose bytes are the upload, unless a protocol has another one
MAX_FILE_NAME: Final = 255  # characters
MAX_FIELDS: Final = 2_000
MAX_FIELD_BYTES: Final = 1 << 20  # of all fields and their headers together, which are held in memory
AUDIO_FIELDS: Final = frozenset({"known_speaker_references"})
MAX_AUDIO_FIELD_BYTES: Final = 8 << 20  # of the fields with audio together, which are held in memory, too


@dataclass(slots=True)
class _FormPart:
    """Hold what was parsed of the current part. data: value of a field; None for a part that is not kept."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    name: str = ""
    data: bytearray | None = None


class _FormParts:
    """Collect the fields and the pieces of the file in the callbacks of the parser.

    It holds no reference to the parser, so the two form no reference cycle.
    """

    def __init__(self, file_field: str) -> None:
        self.fields: list[tuple[str, str]] = []
        self.has_file = False
        self.file_name = ""
        self._file_field = file_field
        self.ended = False
        self._part = _FormPart()
        self._into_file = False
        self._held = 0
        self._held_audio = 0
        self._into_audio = False
        self._pieces: list[bytes] = []

    def take_pieces(self) -> list[bytes]:
        """Return the pieces of the file since the last call."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def on_part_begin(self) -> None:
        self._part = _FormPart()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._hold(end - start)
        self._part.header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._hold(end - start)
        self._part.value += data[start:end]

    def on_header_end(self) -> None:
        part = self._part
        part.headers[bytes(part.header).lower()] = bytes(part.value)
        part.header.clear()
        part.value.clear()

    def on_headers_finished(self) -> None:
        part = self._part
        _, options = parse_options_header(part.headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise invalid("A part of the multipart body has no name.", code="invalid_body")
        part.name = options[b"name"].decode("utf-8", "replace")
        self._into_file = part.name == self._file_field
        if self._into_file and self.has_file:
            raise invalid("More than one file was sent.", self._file_field)
        if self._into_file:
            self.has_file = True
            self.file_name = base_name(options.get(b"filename", b"").decode("utf-8", "replace"))
        self._into_audio = part.name.partition("[")[0] in AUDIO_FIELDS
        dropped = self._into_file or b"filename" in options
        part.data = None if dropped else bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._into_file:
            self._pieces.append(data[start:end])
        elif self._part.data is not None:
            if self._into_audio:
                self._hold_audio(end - start)
            else:
                self._hold(end - start)
            self._part.data += data[start:end]

    def on_part_end(self) -> None:
        self._into_file = False
        if self._part.data is not None:
            if len(self.fields) == MAX_FIELDS:
                raise invalid(f"More than {MAX_FIELDS} fields were sent.", code="invalid_body")
            self.fields.append((self._part.name, self._part.data.decode("utf-8", "replace")))

    def on_end(self) -> None:
        self.ended = True

    def _hold(self, count: int) -> None:
        self._held += count
        if self._held > MAX_FIELD_BYTES:
            raise invalid(f"The fields hold more than {MAX_FIELD_BYTES} bytes.", code="invalid_body")

    def _hold_audio(self, count: int) -> None:
        self._held_audio += count
        if self._held_audio > MAX_AUDIO_FIELD_BYTES:
            names = ", ".join(sorted(AUDIO_FIELDS))
            raise invalid(f"{names} hold more than {MAX_AUDIO_FIELD_BYTES} bytes.", code="invalid_body")


class MultipartForm:
    """Parse a form. `feed` returns the bytes of one part, the file; other files are dropped.

    file_field: name of that part

    `feed` and `finish` raise ApiError if the body is malformed or its fields are too large.
    """

    def __init__(self, content_type: str, file_field: str = FILE) -> None:
        _, options = parse_options_header(content_type)
        if not options.get(b"boundary"):
            raise invalid("The multipart body has no boundary.", code="invalid_body")
        self._parts = _FormParts(file_field)
        try:
            self._parser = _parser_of(self._parts, options[b"boundary"])
        except FormParserError as error:
            raise invalid(f"The multipart body cannot be read: {error}", code="invalid_body") from None

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Return the names and texts of the fields, in the order of the form."""
        return self._parts.fields

    @property
    def has_file(self) -> bool:
        """Return whether the form has a file."""
        return self._parts.has_file

    @property
    def file_name(self) -> str:
        """Return the name of the file without folders; "" if the client gave none."""
        return self._parts.file_name

    def feed(self, data: bytes) -> list[bytes]:
        """Parse data of the body, and return the pieces of the file in it."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise invalid(f"The multipart body is malformed: {error}", code="invalid_body") from None
        return self._parts.take_pieces()

    def finish(self) -> None:
        """Check that the form is complete after all data was fed."""
        if not self._parts.ended:
            raise invalid("The multipart body ends before its last boundary.", code="invalid_body")


def base_name(path: str) -> str:
    """Return the last part of a path of any system, without characters that cannot be printed."""
    name = path.replace("\\", "/").rpartition("/")[2]
    return "".join(filter(str.isprintable, name))[:MAX_FILE_NAME]


def _parser_of(parts: _FormParts, boundary: bytes) -> MultipartParser:
    return MultipartParser(
        boundary,
        {
            "on_part_begin": parts.on_part_begin,
            "on_part_data": parts.on_part_data,
            "on_part_end": parts.on_part_end,
            "on_header_field": parts.on_header_field,
            "on_header_value": parts.on_header_value,
            "on_header_end": parts.on_header_end,
            "on_headers_finished": parts.on_headers_finished,
            "on_end": parts.on_end,
        },
    )
