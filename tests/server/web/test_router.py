"""The page is served with its assets, a Content-Security-Policy, caching and compression."""

import gzip
import json
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from server.web.router import PAGE_PATHS, TYPES, WEB, WebPage
from tests import plain_http
from tests.server.live_server import Server, free_settings


def client_of(page: WebPage) -> TestClient:
    app = FastAPI()
    app.include_router(page.router())
    return TestClient(app)


@pytest.fixture(scope="module")
def web() -> TestClient:
    return client_of(WebPage(free_settings()))


def url_of(web: TestClient, name: str) -> str:
    found = re.search(r'src="(web/\w+/)app.js"', web.get("/").text)
    assert found
    return f"/{found[1]}{name}"


def test_page_refers_to_existing_files(web: TestClient) -> None:
    index = web.get("/").text
    paths = re.findall(r'(?:src|href)="(web/[^"]+)"', index)
    assert paths
    assert {web.get(f"/{name}").status_code for name in paths} == {200}


def test_modules_import_existing_modules() -> None:
    for path in WEB.glob("*.js"):
        for name in re.findall(r'(?:from|import\(|import\.meta\.url|URL\()\s*"(\./[^"]+)"', path.read_text()):
            assert (WEB / name).is_file(), f"{path.name} imports {name}"


def test_policy_allows_only_the_same_origin(web: TestClient) -> None:
    headers = web.get("/").headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy.pop("style-src").startswith("'self' 'sha256-")
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "img-src": "'self'",
        "media-src": "blob:",
        "connect-src": "'self'",
        "worker-src": "'self'",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"


def test_captions_are_a_page_of_their_own(web: TestClient) -> None:
    paths = re.findall(r'(?:src|href)="(web/[^"]+)"', web.get("/captions").text)
    assert paths
    assert {web.get(f"/{name}").status_code for name in paths} == {200}


def test_worker_knows_all_files_and_may_control_the_page(web: TestClient) -> None:
    worker = web.get(url_of(web, "offline_worker.js"))
    names = json.loads(worker.text.split("const FILES = ", 1)[1].split(";", 1)[0])
    assert {"app.js", "style.css", "locales/en.js"} <= set(names)
    assert "offline_worker.js" not in names
    assert {web.get(url_of(web, name)).status_code for name in names} == {200}
    assert worker.headers["service-worker-allowed"] == "../../"


def test_page_is_revalidated_and_assets_are_cached(web: TestClient) -> None:
    page = web.get("/")
    assert page.headers["cache-control"] == "no-cache"
    same = web.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert "immutable" in web.get(url_of(web, "style.css")).headers["cache-control"]


def test_changed_content_has_another_url(tmp_path: Path) -> None:
    versions = set()
    for text in ("a", "b"):
        (tmp_path / "index.html").write_text('<script src="web/app.js"></script>')
        (tmp_path / "app.js").write_text(text)
        versions.add(WebPage(free_settings(), tmp_path).version)
    assert len(versions) == 2


@pytest.mark.parametrize("name", ["nothing.js", "../page.py", "vendor/wavesurfer/LICENSE", ""])
def test_other_files_are_not_found(web: TestClient, name: str) -> None:
    with pytest.raises(Exception, match="There is no such file"):
        web.get(url_of(web, name.replace("..", "%2e%2e")))


def test_asset_of_another_version_is_not_found(server: Server) -> None:
    answer = server.get("/web/000000000000/app.js")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "There is no such file: /web/000000000000/app.js"


def test_assets_are_compressed_if_the_client_accepts_it(web: TestClient) -> None:
    name = url_of(web, "style.css")
    zipped, plain = (
        web.get(name, headers={"accept-encoding": coding}) for coding in ("gzip, br", "identity")
    )
    assert zipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert zipped.content == plain.content == (WEB / "style.css").read_bytes()
    assert int(zipped.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert "accept-encoding" in zipped.headers["vary"]


def test_page_is_small() -> None:
    parts = [path.read_bytes() for path in WEB.rglob("*") if path.is_file() and path.suffix in TYPES]
    assert sum(map(len, parts)) <= 350_000
    assert sum(len(gzip.compress(part)) for part in parts) <= 125_000


def test_url_form_depends_on_the_settings() -> None:
    told = [client_of(WebPage(free_settings(fetch_urls=on))).get("/").text for on in (False, True)]
    assert ['data-fetch-urls="true"' in page for page in told] == [False, True]


def test_page_knows_whether_the_server_keeps_jobs() -> None:
    told = [client_of(WebPage(free_settings(data_dir=folder))).get("/").text for folder in ("", "data")]
    assert ['data-jobs="true"' in page for page in told] == [False, True]


def test_page_knows_whether_the_server_shares_sessions() -> None:
    pages = [client_of(WebPage(free_settings(share_sessions=on))).get("/").text for on in (False, True)]
    assert ['data-share="true"' in page for page in pages] == [False, True]


def test_page_knows_whether_the_server_distinguishes_speakers() -> None:
    pages = [client_of(WebPage(free_settings(diarize=on))).get("/").text for on in (False, True)]
    assert ['data-diarize="true"' in page for page in pages] == [False, True]


def test_server_has_the_page(server: Server) -> None:
    page = server.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for path in PAGE_PATHS - {"/"}:
        assert f'="{path[1:]}' in page.text
    assert (
        plain_http.get(server.url + "/openapi.json", timeout=60).json()["paths"].keys().isdisjoint(PAGE_PATHS)
    )
