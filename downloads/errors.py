"""Define the errors of downloads. Each says whether another try may succeed."""


class DownloadError(Exception):
    """Base of the errors of this package.

    code: name for programs
    is_transient: whether another try may succeed
    retry_after: seconds that the sender asks to wait before it; None if it does not
    """

    code = "fetch_failed"

    def __init__(self, message: str, *, is_transient: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.is_transient = is_transient
        self.retry_after = retry_after


class AddressRefused(DownloadError):
    """The address is malformed, or leads to where the server may not go."""

    code = "invalid_url"


class FileTooLarge(DownloadError):
    """The file is larger than allowed.

    limit: in bytes
    size: bytes that were declared or read, at least
    """

    code = "file_too_large"

    def __init__(self, limit: int, size: int) -> None:
        super().__init__(f"The file has more than {limit} bytes, which is the limit.")
        self.limit = limit
        self.size = size


class NotAudio(DownloadError):
    """The address leads to something that is no audio and no video.

    is_page: it is a web page
    """

    code = "not_audio"

    def __init__(self, media_type: str, *, is_page: bool) -> None:
        kind = "a web page" if is_page else "something else"
        super().__init__(
            f"The address leads to {kind} ({media_type}), not to an audio or video file: "
            "give the address of the file itself."
        )
        self.is_page = is_page
