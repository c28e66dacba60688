"""The hub: what of it lies in the local cache, and whether it answers. torch is not imported."""

import ssl
import threading
from http.client import HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from huggingface_hub import constants, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from asr.errors import ModelUnavailable

_TEXTS: Final = ("*.json", "*.txt", "*.model", "*.jinja")  # settings and vocabularies
_NOT_READ: Final = ("*/*", "*.fp32-*")  # checkpoints in folders, a second copy at full precision


def cache_folder() -> Path:
    """Where the cache lies: HF_HUB_CACHE, or hub/ in HF_HOME."""
    return Path(constants.HF_HUB_CACHE)


def cached(model_id: str, cache: Path | None = None) -> Path | None:
    """The folder of the model's snapshot in the cache, not checked for completeness; None if there is none.

    Raises ModelUnavailable for what cannot be an id ("org/name" or "name").
    """
    try:
        config = try_to_load_from_cache(model_id, "config.json", cache_dir=cache)
    except HFValidationError as error:
        raise ModelUnavailable(f"{model_id} is no folder, and no id of the hub: {error}") from error
    return Path(config).parent if isinstance(config, str) else None


def fetch(
    model_id: str, seconds: float, endpoint: str = constants.ENDPOINT, cache: Path | None = None
) -> Path:
    """Brings what a recognizer reads of a model into the cache, with a progress bar on stderr.

    seconds: to wait for the hub's first answer. Returns the snapshot's folder. Raises ModelUnavailable.
    """
    # Slow to import, and a server never fetches.
    from httpx2 import HTTPError  # of the hub's client, which lets it through
    from huggingface_hub import HfApi, snapshot_download

    if reason := obstacle(model_id, seconds, endpoint):
        raise ModelUnavailable(f"{model_id} cannot be fetched: {reason}")
    try:
        files = HfApi(endpoint).list_repo_files(model_id)
        weights = "*.safetensors" if any(name.endswith(".safetensors") for name in files) else "*.bin"
        snapshot = snapshot_download(
            model_id,
            endpoint=endpoint,
            cache_dir=cache,
            allow_patterns=[*_TEXTS, weights],
            ignore_patterns=[*_NOT_READ],
        )
        return Path(snapshot)
    except (OSError, HTTPError, HFValidationError) as error:  # the hub's answers are OSErrors
        raise ModelUnavailable(f"{model_id} cannot be fetched: {error}") from error


def obstacle(model_id: str, seconds: float, endpoint: str = constants.ENDPOINT) -> str | None:
    """Why the model cannot be fetched from the hub, or None if it is worth trying.

    seconds: the most it may take. A thread asks, because the resolver of names knows no time limit; one that
    hangs is left behind.
    """
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    answer: SimpleQueue[str | None] = SimpleQueue()
    threading.Thread(target=lambda: answer.put(_ask(endpoint, model_id, seconds)), daemon=True).start()
    try:
        return answer.get(timeout=seconds)
    except Empty:
        return f"{endpoint} did not answer within {seconds:g} s"


def _ask(endpoint: str, model_id: str, seconds: float) -> str | None:
    config = hf_hub_url(model_id, "config.json", endpoint=endpoint)
    try:
        urlopen(Request(config, method="HEAD"), timeout=seconds).close()
    except HTTPError as error:
        if error.code == 404 or error.code >= 500:
            return f"{config} is answered with {error.code} {error.reason}"
        return None  # 401 and the like: the hub's own client knows the user's token
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, URLError) and isinstance(error.reason, ssl.SSLError):
            return None  # nor is the certificate for us to judge
        return f"{endpoint} cannot be reached: {error}"
    return None
