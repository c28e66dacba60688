"""Test that bench.load.page measures the web page."""

import asyncio

import pytest

from bench.load.page import measure
from tests.web.browser import CHROMIUM, HEADLESS_SHELL


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
def test_it_measures_weight_paint_and_words_on_the_screen() -> None:
    found = asyncio.run(measure(1.0, 1, (0, 100), HEADLESS_SHELL))
    assert found["weight"]["bytes_sent"] < found["weight"]["bytes"] <= 350_000
    assert found["weight"]["parts"] > 30
    assert 0 < found["paint"]["script_ms"] < found["paint"]["work_ms"]
    for words in (0, 100):
        streaming = found[f"after_{words}_words"]
        assert streaming["shown"] > 1
        assert 0 < streaming["p50_ms"] <= streaming["p95_ms"]
        assert streaming["frames_per_second"] > 1
