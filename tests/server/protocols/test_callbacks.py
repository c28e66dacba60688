"""Callbacks of jobs, from the request to the post that reports its end."""

import asyncio
import json
from functools import partial
from pathlib import Path

from tests import plain_http
from tests.downloads.web_servers import answering, ok
from tests.server.job_requests import SPOKEN, ask, ended
from tests.server.live_server import free_settings, serve
from tests.waiting import until


def has(heard: list[str], number: int) -> bool:
    return len(heard) == number


async def test_result_of_deepgram_is_posted(tmp_path: Path) -> None:
    with serve(free_settings(data_dir=str(tmp_path), fetch_private=True)) as server:
        async with answering(ok(b""), ok(b"")) as (address, heard):
            query = {"callback": f"{address}/done?id=7", "punctuate": "true"}
            for number, body in enumerate((SPOKEN, b"no sound at all"), start=1):
                sent = await asyncio.to_thread(
                    plain_http.post, f"{server.url}/v1/listen", content=body, params=query, timeout=60
                )
                assert sent.status_code == 200, sent.text
                await until(partial(has, heard, number))
                head, _, content = heard[-1].partition("\r\n\r\n")
                report = json.loads(content)
                assert head.startswith("POST /done?id=7 ")
                if body is SPOKEN:
                    assert report["metadata"]["request_id"] == sent.json()["request_id"]
                    best = report["results"]["channels"][0]["alternatives"][0]
                    assert best["transcript"].startswith("w1 w2")
                else:
                    assert report["err_code"] == "INVALID_AUDIO"
                    assert report["request_id"] == sent.json()["request_id"]


async def test_end_of_a_job_is_posted(tmp_path: Path) -> None:
    with serve(free_settings(data_dir=str(tmp_path), fetch_private=True)) as server:
        async with answering(ok(b"")) as (address, heard):
            fields = {"callback": f"{address}/done", "metadata": "mine"}
            sent = await asyncio.to_thread(
                ask, server, "POST", files={"file": ("a.wav", SPOKEN)}, data=fields
            )
            job = await asyncio.to_thread(ended, server, sent.json())
            await until(lambda: len(heard) == 1)
            event = json.loads(heard[0].partition("\r\n\r\n")[2])
            assert (event["type"], event["data"]["id"], event["data"]["metadata"]) == (
                "job.succeeded",
                job["id"],
                "mine",
            )
        refused = await asyncio.to_thread(
            ask, server, "POST", files={"file": SPOKEN}, data={"callback": "file:///etc/passwd"}
        )
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "callback")
