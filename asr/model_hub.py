"""Find models in the local cache of the Hugging Face hub and download them, without importing torch.

The client of the hub and that of HTTP are imported inside the functions: the first takes half a second, and
models in folders and the default need neither.
"""

import threading
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from asr.errors import ModelUnavailable

Progress = Callable[[str, int, int | None], None]  # of a model: bytes that are here, and of how many

_TEXTS: Final = ("*.json", "*.txt", "*.model", "*.jinja")  # Settings and vocabularies.
_NOT_READ: Final = ("*/*", "*.fp32-*")  # Checkpoints in folders, and second copies at full precision.


def cache_folder() -> Path:
    """Return the folder of the cache: HF_HUB_CACHE, or hub/ in HF_HOME."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached_snapshot(model_id: str, cache: Path | None = None) -> Path | None:
    """Return the folder of the model's snapshot in the cache; None if there is none.

    The snapshot may be incomplete. Raises ModelUnavailable for text that is no id.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(model_id, "config.json", cache_dir=cache)
    except HFValidationError as error:
        raise ModelUnavailable(
            f"{model_id} is neither a folder nor a model id of the hub: {error}"
        ) from error
    return Path(config).parent if isinstance(config, str) else None


def download(
    model_id: str,
    seconds: float,
    progress: Progress | None = None,
    endpoint: str | None = None,
    cache: Path | None = None,
) -> Path:
    """Download the files that a recognizer needs into the cache.

    Return the folder of the snapshot. Raises ModelUnavailable.
    seconds: most time to wait for the hub's first response
    progress: called as bytes arrive; None for a progress bar on stderr
    """
    from httpx2 import HTTPError  # The client of the hub does not wrap this error.
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HFValidationError

    endpoint = endpoint or constants.ENDPOINT
    if reason := unavailable_reason(model_id, seconds, endpoint):
        raise ModelUnavailable(f"{model_id} cannot be downloaded: {reason}")
    try:
        files = HfApi(endpoint).list_repo_files(model_id)
        weights = "*.safetensors" if any(name.endswith(".safetensors") for name in files) else "*.bin"
        snapshot = snapshot_download(
            model_id,
            endpoint=endpoint,
            cache_dir=cache,
            allow_patterns=[*_TEXTS, weights],
            ignore_patterns=[*_NOT_READ],
            tqdm_class=progress and _bar_that_reports(model_id, progress),
        )
        return Path(snapshot)
    except (OSError, HTTPError, HFValidationError) as error:  # Error responses of the hub are OSErrors.
        raise ModelUnavailable(f"{model_id} cannot be downloaded: {error}") from error


def download_files(
    model_id: str,
    names: Sequence[str],
    revision: str,
    seconds: float,
    progress: Progress | None = None,
    endpoint: str | None = None,
    cache: Path | None = None,
) -> Path:
    """Download named files of one revision into the cache.

    Return the folder of the snapshot. Raises ModelUnavailable.
    seconds: most time to wait for the hub's first response
    progress: called as bytes arrive; None for a progress bar on stderr
    """
    from httpx2 import HTTPError
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError

    endpoint = endpoint or constants.ENDPOINT
    if reason := unavailable_reason(model_id, seconds, endpoint, names[0], revision):
        raise ModelUnavailable(reason)
    try:
        snapshot = snapshot_download(
            model_id,
            revision=revision,
            endpoint=endpoint,
            cache_dir=cache,
            allow_patterns=list(names),
            tqdm_class=progress and _bar_that_reports(model_id, progress),
        )
        return Path(snapshot)
    except (OSError, HTTPError, HFValidationError) as error:
        raise ModelUnavailable(str(error)) from error


def _bar_that_reports(model_id: str, progress: Progress) -> type[Any]:
    """Return a progress bar for the client of the hub that draws nothing and reports bytes.

    The client makes several bars: of files, of bytes received and of bytes written. Of the last two the one
    that is ahead counts.
    """
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    most = 0

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"file": StringIO()})

        def display(self, *args: Any, **options: Any) -> None:
            nonlocal most
            if self.unit == "B" and self.total and self.n >= most:
                most = int(self.n)
                progress(model_id, most, int(self.total))

    Bar.set_lock(threading.RLock())  # tqdm's own one is of all processes, and leaks where one is killed.
    return Bar


def unavailable_reason(
    model_id: str,
    seconds: float,
    endpoint: str | None = None,
    filename: str = "config.json",
    revision: str | None = None,
) -> str | None:
    """Return why the model cannot be downloaded from the hub, or None if a download is worth trying.

    seconds: most time for the check. It runs in a thread, because name resolution has no time limit; a thread
    that hangs is abandoned.
    filename: a file that the model has; revision: None for the newest one
    """
    from huggingface_hub import constants, hf_hub_url

    endpoint = endpoint or constants.ENDPOINT
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    answer: SimpleQueue[str | None] = SimpleQueue()
    url = hf_hub_url(model_id, filename, revision=revision, endpoint=endpoint)
    threading.Thread(target=lambda: answer.put(_check(endpoint, url, seconds)), daemon=True).start()
    try:
        return answer.get(timeout=seconds)
    except Empty:
        return f"{endpoint} did not answer within {seconds:g} s"


def _check(endpoint: str, url: str, seconds: float) -> str | None:
    import ssl
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    try:
        urlopen(Request(url, method="HEAD"), timeout=seconds).close()
    except HTTPError as error:
        if error.code == 404 or error.code >= 500:
            return f"{url} responded with {error.code} {error.reason}"
        return None  # The hub's own client has the user's token and handles 401 and the like.
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, URLError) and isinstance(error.reason, ssl.SSLError):
            return None  # The hub's own client decides about certificates.
        return f"{endpoint} cannot be reached: {error}"
    return None
