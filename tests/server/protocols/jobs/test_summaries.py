"""The model of the settings summarizes jobs.

A process has one worker at most, so this server is not in the module of the others.
"""

from pathlib import Path

from tests.postprocessing.chat_server import chat_server, says
from tests.server.job_requests import ask, ended, submit
from tests.server.live_server import free_settings, serve


def test_model_of_the_settings_writes_summaries_of_jobs(tmp_path: Path) -> None:
    with (
        chat_server(lambda request: says("They count words.")) as served,
        serve(free_settings(data_dir=str(tmp_path), summary_url=served.url, summary_model="small")) as server,
    ):
        job = submit(server, summarize="true", chapters="true")
        ended(server, job)
        found = ask(server, "GET", f"/{job['id']}/transcript").json()
    short = "the recording is shorter than two minutes"
    assert found["chapters"] == {"items": [], "model": None, "reason": short}
    assert found["summary"] == {
        "text": "They count words.",
        "method": "model",
        "model": "small",
        "reason": None,
    }
