"""Test bench.load.load as a command, and its report."""

import asyncio
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import ROOT
from bench.accuracy.audio_io import read_sound, split_at_pauses
from bench.load.load import first_words_ms, report
from bench.load.load_generator import LoadResult
from tests.bench.accuracy.test_audio_io import RATE, silence, tone, write_wav
from tests.client.fake_server import standin


@pytest.mark.slow
async def test_it_ends_in_a_line_of_json(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.concatenate([tone(400), silence(600), tone(500)]), RATE)
    async with standin("one two three") as server:
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "bench.load.load",
                "--url",
                server.url,
                "--audio",
                str(tmp_path / "a.wav"),
            ),
            *("--streams", "3", "--seconds", "4", "--pid", str(os.getpid())),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
    figures = json.loads(out.splitlines()[-1])
    assert process.returncode == 0
    assert figures["bench"] == "load"
    assert figures["utterances"] > 0
    assert (figures["lost"], figures["doubled"]) == (0, 0)
    assert figures["settings"]["streams"] == 3
    assert figures["final_ms"]["n"] > 0


def test_the_first_word_begins_after_the_breath_before_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    breath = 0.02 * rng.standard_normal(RATE // 2).astype(np.float32)
    (sentence, *_) = split_at_pauses(read_sound(ROOT / "test.wav", RATE), RATE)
    spoken, strange = np.concatenate([breath, sentence]), tone(400)
    text = (ROOT / "test.txt").read_text().splitlines()[0]
    rows = [("a.wav", text), ("b.wav", "xqzzt")]
    for (name, _), samples in zip(rows, (spoken, strange), strict=True):
        write_wav(tmp_path / name, samples, RATE)
    lines = [json.dumps({"file": name, "text": text, "duration_s": 1.0}) for name, text in rows]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    found = [(tmp_path / "a.wav", spoken), (tmp_path / "b.wav", strange)]
    first, unknown = first_words_ms(tmp_path, found, RATE)
    assert first == pytest.approx(550, abs=150)
    assert unknown is None
    assert first_words_ms(tmp_path / "elsewhere", found, RATE) == [None, None]


def test_latency_beyond_the_silence_leaves_it_out() -> None:
    result = LoadResult()
    result.score.finals = [(1000.0, 350.0), (2000.0, 450.0)]
    figures = report(result, silence_ms=300, seconds=10)
    assert figures["final_ms"]["p50"] == 400.0
    assert figures["beyond_silence_ms"]["p50"] == 100.0
    assert figures["final_ms_first_and_last_minute"] == []


def test_a_long_run_compares_its_first_minute_with_its_last() -> None:
    result = LoadResult()
    result.score.finals = [(1000.0, 350.0), (200_000.0, 450.0)]
    first, last = report(result, silence_ms=300, seconds=240)["final_ms_first_and_last_minute"]
    assert (first["p95"], last["p95"]) == (350.0, 450.0)
