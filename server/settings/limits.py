"""Define the settings of admission, sizes and timeouts."""

import os

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    """Limit what clients may use and how long the server waits for them."""

    max_sessions: int = Field(
        2_000,
        ge=1,
        le=100_000,
        description="Maximum number of live streams; further ones are refused. Each channel that is kept "
        "apart (`multichannel`) counts as a stream.",
    )
    max_lag_seconds: float = Field(
        10.0,
        gt=0,
        description="Seconds that finals may wait for recognition before new streams are refused. From a "
        "tenth of it on, partials are sent less often, then not at all.",
    )
    spool_minutes: float = Field(
        30.0,
        ge=0,
        le=240,
        description="Minutes of audio of one stream that may wait for recognition on disk (4 MB each), in "
        "addition to the minute in memory; then the stream ends. The files are in TMPDIR, by default "
        "/var/tmp. A client also waits so long for a model that is being loaded.",
    )
    rate_limit_per_second: float = Field(
        20.0,
        gt=0,
        description="Streams and files that one IP address may open per second; further ones are answered "
        "with 429. Loopback is not limited.",
    )
    rate_limit_burst: int = Field(
        200,
        ge=1,
        description="Streams and files that one IP address may open at once, above RATE_LIMIT_PER_SECOND.",
    )
    max_message_bytes: int = Field(
        1 << 20,
        ge=1 << 10,
        le=3 << 20,
        description="Maximum size of one WebSocket message in bytes; a longer one closes with 1009.",
    )
    max_files: int = Field(
        32,
        ge=1,
        le=1_000,
        description="Maximum number of files that are received or transcribed at once; further ones are "
        "answered with 503.",
    )
    max_upload_bytes: int = Field(
        512 << 20,
        ge=1 << 10,
        description="Maximum size of a request with a file, in bytes; a larger one is answered with 413.",
    )
    max_file_seconds: float = Field(
        14_400.0,
        gt=0,
        description="Maximum duration of a file, in seconds; a longer one is answered with 413.",
    )
    fetch_urls: bool = Field(False, description="Accept http(s) URLs of files; the server downloads them.")
    fetch_private: bool = Field(
        False, description="Allow URLs that lead to this machine or its private networks (FETCH_URLS)."
    )
    files_dir: str = Field(
        "",
        description="Folder whose files clients of /wav2vec2 may name by path, with all folders below it. "
        "Symbolic links are not followed. Empty: none.",
    )
    send_timeout_seconds: float = Field(
        10.0,
        gt=0,
        description="Seconds that a client may leave its events unread before it is closed with 4013.",
    )
    resume_seconds: float = Field(
        60.0,
        ge=0,
        le=3_600,
        description="Seconds that a session waits for a disconnected client to resume it; 0 disables "
        "resuming.",
    )
    resume_bytes: int = Field(
        4 << 20,
        ge=1 << 16,
        description="Bytes of sent messages that are kept per session for a client that resumes it.",
    )
    shutdown_timeout_seconds: float = Field(
        10.0, ge=0, description="Seconds after SIGTERM in which open utterances are finished."
    )

    @field_validator("files_dir")
    @classmethod
    def _is_folder(cls, path: str) -> str:
        if path and not os.path.isdir(path):
            raise ValueError("there is no such folder")
        return path
