"""Finding a wheel on indexes, and reading the settings of pip."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from asr.package_index import IndexFailed, IndexSettings, Link, found_links, links
from tests.asr.file_server import FileServer, file_server

ROOT = Path(__file__).parents[2]
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
WHEEL = "my_model-1.0-py3-none-any.whl"
SHA256 = "ab" * 32


@pytest.fixture
def served() -> Iterator[FileServer]:
    with file_server() as server:
        yield server


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(verify=NO_TLS) as client:
        yield client


def test_a_json_page_is_read(served: FileServer, client: httpx.Client) -> None:
    served.add_json(
        "/simple/my-model/",
        [
            {"filename": "my_model-0.9-py3-none-any.whl", "url": "old", "hashes": {}},
            {"filename": WHEEL, "url": "../../files/x.whl", "hashes": {"sha256": SHA256}},
        ],
    )
    for location in (f"{served.url}/simple", f"{served.url}/simple/"):
        assert links(client, location, "my-model", WHEEL) == [Link(f"{served.url}/files/x.whl", SHA256)]


def test_an_html_page_is_read(served: FileServer, client: httpx.Client) -> None:
    served.add_page(
        "/simple/my-model/",
        f'<a href="old-1.whl">{WHEEL}</a><a href="/f/{WHEEL}#sha256={SHA256}">x</a><a href="{WHEEL}">y</a>',
    )
    assert links(client, f"{served.url}/simple", "my-model", WHEEL) == [
        Link(f"{served.url}/f/{WHEEL}", SHA256),
        Link(f"{served.url}/simple/my-model/{WHEEL}"),
    ]


def test_the_base_of_an_html_page_counts(served: FileServer, client: httpx.Client) -> None:
    served.add_page("/simple/my-model/", f'<base href="/elsewhere/"><a href="{WHEEL}">x</a>')
    assert links(client, f"{served.url}/simple", "my-model", WHEEL) == [
        Link(f"{served.url}/elsewhere/{WHEEL}")
    ]


def test_an_index_without_the_project_has_no_links(served: FileServer, client: httpx.Client) -> None:
    assert links(client, f"{served.url}/simple", "my-model", WHEEL) == []


def test_the_password_goes_to_its_own_server_only(served: FileServer, client: httpx.Client) -> None:
    served.users = True
    served.add_page(
        "/simple/my-model/", f'<a href="/f/{WHEEL}">x</a><a href="http://other.example/{WHEEL}">y</a>'
    )
    location = served.url.replace("http://", "http://user:secret@") + "/simple"
    assert links(client, location, "my-model", WHEEL) == [
        Link(f"{location.removesuffix('/simple')}/f/{WHEEL}"),
        Link(f"http://other.example/{WHEEL}"),
    ]


def test_a_refused_password_is_not_shown(served: FileServer, client: httpx.Client) -> None:
    served.users = True
    location = served.url.replace("http://", "http://user:wrong@") + "/simple"
    with pytest.raises(IndexFailed) as caught:
        links(client, location, "my-model", WHEEL)
    assert str(caught.value) == f"{served.url}/simple/my-model/ responded with 401"


@pytest.mark.parametrize("page", [b"{", b"[]", b'{"files": [{}]}', b'{"files": 3}'])
def test_a_damaged_page_is_named(served: FileServer, client: httpx.Client, page: bytes) -> None:
    served.add_json("/simple/my-model/", [])
    served.files["/simple/my-model/"] = page
    with pytest.raises(IndexFailed, match="no list of files in JSON"):
        links(client, f"{served.url}/simple", "my-model", WHEEL)


@pytest.mark.parametrize("as_address", [True, False])
def test_an_index_may_be_a_folder(client: httpx.Client, tmp_path: Path, as_address: bool) -> None:
    page = tmp_path / "simple" / "my-model" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="../../files/{WHEEL}#sha256={SHA256}">{WHEEL}</a>')
    simple = tmp_path / "simple"
    (link,) = links(client, simple.as_uri() if as_address else str(simple), "my-model", WHEEL)
    assert (link.path, link.sha256) == (tmp_path / "files" / WHEEL, SHA256)


def test_an_index_folder_without_the_project_is_named(client: httpx.Client, tmp_path: Path) -> None:
    with pytest.raises(IndexFailed, match="my-model cannot be read: No such file"):
        links(client, str(tmp_path), "my-model", WHEEL)


def test_find_links_may_be_a_folder_a_file_or_a_page(
    served: FileServer, client: httpx.Client, tmp_path: Path
) -> None:
    wheel = tmp_path / "with space" / WHEEL
    wheel.parent.mkdir()
    assert found_links(client, str(wheel.parent), WHEEL) == []
    wheel.write_bytes(b"")
    served.add_page("/links", f'<a href="{WHEEL}">x</a>')
    for location in (str(wheel.parent), wheel.parent.as_uri(), str(wheel), wheel.as_uri()):
        assert [link.path for link in found_links(client, location, WHEEL)] == [wheel]
    assert found_links(client, f"{served.url}/links", WHEEL) == [Link(f"{served.url}/{WHEEL}")]


def settings(**environment: str) -> IndexSettings:
    """Read the settings of pip in a process with these variables, and without the ones of this machine."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    script = "from asr.package_index import *; print(repr(pip_settings()))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = eval(done.stdout, {"IndexSettings": IndexSettings})  # what repr wrote
    assert isinstance(found, IndexSettings)
    return found


def test_the_files_of_pip_count_and_its_variables_come_first(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = http://one/simple\nextra-index-url =\n  http://two/simple\n  file:///three\n"
        "find_links = /wheels\ncert = /ca.pem\n[download]\nfind-links = /more /others\n[install]\nproxy = http://p\n"
    )
    assert settings(PIP_CONFIG_FILE=str(config), PIP_INDEX_URL="http://zero/simple") == IndexSettings(
        ("http://zero/simple", "http://two/simple", "file:///three"), ("/more", "/others"), "/ca.pem"
    )


def test_without_configuration_the_default_of_pip_is_used() -> None:
    (index,) = settings(PIP_CONFIG_FILE=os.devnull).indexes
    assert index.startswith("https://")


def test_no_index_leaves_the_links(tmp_path: Path) -> None:
    assert settings(
        PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX="1", PIP_INDEX_URL="http://one", PIP_FIND_LINKS="/wheels"
    ) == IndexSettings((), ("/wheels",))
