"""Quotas of keys, and jobs. A process has one worker, so these servers are not those of another file."""

import json
from pathlib import Path

from server.auth.api_keys import digest_of
from tests import plain_http
from tests.server.job_requests import SPOKEN, ask, ended, error_of, submit
from tests.server.live_server import free_settings, serve

SPENT = "the-key-of-spent-0"


def test_jobs_count_against_the_quota_of_their_key(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    entry = {"name": "spent", "sha256": digest_of(SPENT).hex(), "audio_seconds_per_hour": 12}
    keys.write_text(json.dumps({"keys": [entry]}))
    settings = {"data_dir": str(tmp_path), "api_keys_file": str(keys)}
    with serve(free_settings(**settings)) as server:
        ended(server, submit(server, key=SPENT), SPENT)
        refused = ask(server, "POST", key=SPENT, files={"file": SPOKEN})
        assert error_of(refused) == (429, None, "rate_limit_exceeded")
        headers = {"authorization": f"Bearer {SPENT}"}
        live = plain_http.post(f"{server.url}/v1/listen", headers=headers, content=SPOKEN, timeout=60)
        assert live.status_code == 429
    # Another process sees the audio in the database.
    with serve(free_settings(**settings, jobs_at_once=0), wait_until_ready=False) as server:
        refused = ask(server, "POST", key=SPENT, files={"file": SPOKEN})
        assert error_of(refused) == (429, None, "rate_limit_exceeded")
