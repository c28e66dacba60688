"""Serve the web page at `/`: static files, read once at start, with a strict Content-Security-Policy."""

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

from server.errors import ApiError
from server.settings import Settings

WEB: Final = Path(__file__).parent / "static"
INDEX: Final = "index.html"
FOLDER: Final = b'="web/'  # prefix of asset URLs in index.html; the version is inserted after it
CAPTIONS: Final = "captions.html"
PAGE_PATHS: Final = frozenset({"/", "/captions", "/web/"})  # served without an API key: the page asks for it
WORKER: Final = "offline_worker.js"  # the server writes the names of all assets into it
NO_FILES: Final = b"const FILES = [];"
NO_FETCH: Final = b'data-fetch-urls="false"'
NO_JOBS: Final = b'data-jobs="false"'
NO_SHARING: Final = b'data-share="false"'
NO_SPEAKERS: Final = b'data-diarize="false"'

TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}

# Hash of the style that wavesurfer.js writes into its shadow tree. It depends on HEIGHT in file_region.js. A
# browser test fails if it changes.
WAVESURFER_STYLE: Final = "'sha256-7Wn/5ghbhb9U5yM332FZpa4jDUilNGJdZ87eJ6XZFBA='"

POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' {WAVESURFER_STYLE}",
        "img-src 'self'",
        "media-src blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)

HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "microphone=(self), display-capture=(self), screen-wake-lock=(self)",
    "vary": "accept-encoding",
}
IMMUTABLE: Final = "public, max-age=31536000, immutable"
REVALIDATE: Final = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    """Hold a file as it is served.

    etag: hash of the content; zipped: the content, compressed with gzip
    """

    content: bytes
    zipped: bytes
    media_type: str
    etag: str

    @classmethod
    def of(cls, name: str, content: bytes) -> "Asset":
        """Return the asset of a file. The suffix of its name gives its media type."""
        etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
        return cls(content, gzip.compress(content, mtime=0), TYPES[Path(name).suffix], etag)


class WebPage:
    """Serve the page and its assets.

    version: hash of all assets, part of their URLs, so that a browser never combines assets of two versions
    """

    def __init__(self, settings: Settings, folder: Path = WEB) -> None:
        files = _read(folder)
        pages = {name: files.pop(name) for name in (INDEX, CAPTIONS) if name in files}
        self.version = _version_of(files)
        if settings.fetch_urls:
            pages[INDEX] = pages[INDEX].replace(NO_FETCH, NO_FETCH.replace(b"false", b"true"))
        if settings.jobs_options() is not None:
            pages[INDEX] = pages[INDEX].replace(NO_JOBS, NO_JOBS.replace(b"false", b"true"))
        if settings.diarize:
            pages[INDEX] = pages[INDEX].replace(NO_SPEAKERS, NO_SPEAKERS.replace(b"false", b"true"))
        if settings.share_sessions:
            pages[INDEX] = pages[INDEX].replace(NO_SHARING, NO_SHARING.replace(b"false", b"true"))
        self._pages = {
            name: Asset.of(name, content.replace(FOLDER, FOLDER + self.version.encode() + b"/"))
            for name, content in pages.items()
        }
        if WORKER in files:
            names = json.dumps(sorted(files.keys() - {WORKER})).encode()
            files[WORKER] = files[WORKER].replace(NO_FILES, NO_FILES.replace(b"[]", names))
        self._files = {name: Asset.of(name, content) for name, content in files.items()}

    def router(self) -> APIRouter:
        """Return the routes of the page and its assets."""
        router = APIRouter(include_in_schema=False)

        @router.get("/")
        async def page(request: Request) -> Response:
            """Return index.html."""
            return _answer(request, self._pages[INDEX], REVALIDATE)

        @router.get("/captions")
        async def captions(request: Request) -> Response:
            """Return the captions-only view."""
            return _answer(request, self._pages[CAPTIONS], REVALIDATE)

        @router.get("/web/{version}/{name:path}")
        async def file(request: Request, version: str, name: str) -> Response:
            """Return an asset. Another version than the current one is not found."""
            asset = self._files.get(name)
            if asset is None or version != self.version:
                raise ApiError(404, f"There is no such file: {request.url.path}")
            response = _answer(request, asset, IMMUTABLE)
            if name == WORKER:  # It may control the page, which is above its own folder.
                response.headers["service-worker-allowed"] = "../../"
            return response

        return router


def _read(folder: Path) -> dict[str, bytes]:
    """Return the content of the files by path. Other types, such as licences, are not served."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in TYPES
    }


def _version_of(files: Mapping[str, bytes]) -> str:
    """Return a hash of names and contents."""
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def _answer(request: Request, asset: Asset, caching: str) -> Response:
    """Return the asset, compressed if the client accepts gzip, or 304 if the client has it."""
    headers = HEADERS | {"etag": asset.etag, "cache-control": caching}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(asset.zipped, headers=headers, media_type=asset.media_type)
    return Response(asset.content, headers=headers, media_type=asset.media_type)
