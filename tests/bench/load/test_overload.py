"""Test the parts of bench.load.overload, and short runs of it."""

import argparse

import pytest

from bench.load.load import record_tapes
from bench.load.message_tape import Label, Tape
from bench.load.overload import (
    arguments,
    capacity_of,
    gauge,
    measure_fairness,
    measure_overload,
    settings_for,
)
from bench.load.protocol_overhead import running_server

TEXT = "# TYPE stt_lag_seconds gauge\nstt_lag_seconds 2.5\n# TYPE other gauge\nother 1.0\n"


def test_a_gauge_is_read_from_the_page_of_metrics() -> None:
    assert gauge(TEXT, "stt_lag_seconds") == 2.5
    assert gauge(TEXT, "stt_demand") == gauge(None, "stt_lag_seconds") == 0


def test_capacity_is_what_keeps_the_recognizer_busy() -> None:
    half = Tape((b"",) * 10, (Label(0, 500),), 100)
    assert capacity_of([half, half], pace=0.1) == pytest.approx(20)


def brief() -> argparse.Namespace:
    command = (
        "--seconds 6 --stream-seconds 4 --fair-seconds 6 --turns 1 --fair-pace 0.05 --times 2 --pace 0.2"
    )
    return arguments(command.split())


@pytest.mark.slow
async def test_admitted_streams_lose_nothing_and_others_are_refused() -> None:
    options = brief()
    tapes = record_tapes(options)
    with running_server(None, settings_for(options.pace), ("-m", "bench.load.fixed_pace_server")) as server:
        figures = await measure_overload(tapes, server, options)
    assert figures["lost"] == figures["doubled"] == 0
    assert figures["offered"] == figures["refused"] + sum(figures["closes"].values())


@pytest.mark.slow
async def test_streams_beside_a_flooding_client_lose_nothing() -> None:
    options = brief()
    tapes = record_tapes(options)
    with running_server(
        None, settings_for(options.fair_pace), ("-m", "bench.load.fixed_pace_server")
    ) as server:
        figures = await measure_fairness(tapes, server, options)
    assert figures["lost"] == [0, 0]
    assert figures["errors"] == {}
    assert figures["pushed_times_real_time"] > 1
