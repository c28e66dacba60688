"""Find wheels on the Python package index that pip would use: its settings, PEP 503 and PEP 691.

pip itself does not serve here: it starts an interrupted download again (pip before 25.1), shows progress only
on a terminal, and cannot be asked for an address. So pip is asked for its settings only.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

from asr.resumable_download import split_credentials

if TYPE_CHECKING:
    import httpx

ACCEPT: Final = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
)
_PIP_SECONDS: Final = 60.0


class IndexFailed(Exception):
    """A place where wheels are looked for cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """Say where wheels are looked for.

    indexes: addresses of indexes in the layout of PEP 503: https, http, file, or a folder
    find_links: folders, or pages with links to wheels
    certificate: PEM file of the authorities to trust instead of the default ones
    """

    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    certificate: str | None = None
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """Locate a wheel; url: https, http or file; sha256: as the index states it."""

    url: str
    sha256: str | None = None

    @property
    def path(self) -> Path | None:
        """Return the path if the wheel is a local file."""
        parts = urlsplit(self.url)
        return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def pip_settings() -> IndexSettings:
    """Return the settings of pip: its configuration files and its variables, which take precedence.

    Without pip only the variables count, and there is no default index. Raises IndexFailed.
    """
    found = {name: value for name, value in _variables() if value}
    listing = _pip("config", "list")
    if listing is not None:
        found = {name: value for name, value in _configured(listing) if value} | found
    no_index = found.get("no-index", "").lower() in ("1", "true", "yes", "on")
    first = "" if no_index else found.get("index-url") or _default_index(listing is not None)
    extra = "" if no_index else found.get("extra-index-url", "")
    return IndexSettings(
        tuple(f"{first} {extra}".split()),
        tuple(found.get("find-links", "").split()),
        found.get("cert"),
        found.get("proxy"),
    )


def links(client: "httpx.Client", location: str, project: str, filename: str) -> list[Link]:
    """Return the links of an index to a file of a project.

    Raises IndexFailed.
    """
    return _links(client, f"{location.rstrip('/')}/{project}/", filename)


def found_links(client: "httpx.Client", location: str, filename: str) -> list[Link]:
    """Return the links of an entry of find-links to a file. Raises IndexFailed."""
    path = _local(location)
    if path is not None and path.is_dir() and not (path / "index.html").is_file():
        wheel = path / filename
        return [Link(wheel.absolute().as_uri())] if wheel.is_file() else []
    if path is not None and path.name == filename:
        return [Link(path.absolute().as_uri())] if path.is_file() else []
    return _links(client, location, filename)


def _links(client: "httpx.Client", page: str, filename: str) -> list[Link]:
    path = _local(page)
    if path is not None:
        page_file = path / "index.html" if path.is_dir() else path
        try:
            text = page_file.read_text(encoding="utf-8")
        except OSError as error:
            raise IndexFailed(f"{page_file} cannot be read: {error.strerror}") from error
        return list(_from_html(text, page_file.absolute().as_uri(), filename))
    import httpx

    shown, credentials = split_credentials(page)
    try:
        response = client.get(shown, headers={"accept": ACCEPT}, auth=credentials)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise IndexFailed(f"{shown} cannot be reached: {error}") from error
    if response.status_code == 404:
        return []
    if response.status_code != 200:
        raise IndexFailed(f"{shown} responded with {response.status_code}")
    base = _with_credentials(str(response.url), page)
    if "json" in response.headers.get("content-type", ""):
        try:
            return list(_from_json(response.json(), base, filename))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IndexFailed(f"{shown} is no list of files in JSON: {error!r}") from error
    return list(_from_html(response.text, base, filename))


def _from_json(page: Any, base: str, filename: str) -> Iterator[Link]:
    for file in page["files"]:
        if file["filename"] == filename:
            sha256 = file.get("hashes", {}).get("sha256")
            yield Link(_with_credentials(urljoin(base, file["url"]), base), sha256)


def _from_html(text: str, base: str, filename: str) -> Iterator[Link]:
    parser = _Anchors()
    parser.feed(text)
    for href in parser.hrefs:
        url, fragment = urldefrag(urljoin(urljoin(base, parser.base), href))
        if unquote(urlsplit(url).path).rpartition("/")[2] == filename:
            match = re.search(r"(?:^|&)sha256=([0-9a-fA-F]{64})", fragment)
            yield Link(_with_credentials(url, base), match[1].lower() if match else None)


class _Anchors(HTMLParser):
    """Collect the addresses of the anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if href and tag == "a":
            self.hrefs.append(href)
        elif href and tag == "base":
            self.base = href


def _with_credentials(url: str, of: str) -> str:
    """Add the user and password of another address, if both lie on the same server."""
    target, source = urlsplit(url), urlsplit(of)
    same = (target.scheme, target.netloc) == (source.scheme, source.netloc.rpartition("@")[2])
    return urlunsplit(target._replace(netloc=source.netloc)) if same else url


def _local(location: str) -> Path | None:
    """Return the path of a folder, a file or a file: address; None for other addresses."""
    if location.startswith(("http://", "https://")):
        return None
    if location.startswith("file:"):
        return Path(url2pathname(urlsplit(location).path))
    return Path(location).expanduser()


def _variables() -> Iterator[tuple[str, str]]:
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            yield name.removeprefix("PIP_").replace("_", "-").lower(), value


def _configured(listing: str) -> Iterator[tuple[str, str]]:
    """Yield the options that apply to downloads from `pip config list`, the more specific ones last."""
    for section in ("global", "download"):
        for line in listing.splitlines():
            key, is_assignment, value = line.partition("=")
            if is_assignment and key.startswith(f"{section}."):
                yield key.removeprefix(f"{section}.").replace("_", "-"), str(ast.literal_eval(value))


def _default_index(has_pip: bool) -> str:
    """Return the index that pip uses without configuration, from its help; "" if there is no pip."""
    text = _pip("download", "--help") if has_pip else None
    match = re.search(r"--index-url.*?\(default\s+(\S+?)\)", text or "", re.DOTALL)
    return match[1] if match else ""


def _pip(*arguments: str) -> str | None:
    """Return what pip prints; None if it is not installed. -P: no module of the current folder takes part."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", *arguments],
            env=os.environ | {"COLUMNS": "1000"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PIP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise IndexFailed(f"pip did not print its settings within {_PIP_SECONDS:g} s") from error
    return done.stdout if done.returncode == 0 else None
