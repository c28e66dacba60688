"""Test the metrics that Prometheus reads."""

import asyncio

from prometheus_client.parser import text_string_to_metric_families

from engine.engine import Engine
from server.admission.controller import AdmissionController
from server.lifecycle.probes import add_gauges
from server.observability.metrics import MAX_KEY_LABELS, Metrics
from server.settings import Settings
from tests.server.live_server import Client, Server, first_sentence
from tests.waiting import until


def values(text: str) -> dict[str, float]:
    """Return the values by `name` or `name/label`."""
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def beats(metrics: Metrics) -> float:
    return values(metrics.text().decode())["stt_loop_lag_seconds_count"]


async def test_metrics_exist_before_the_models_are_loaded() -> None:
    metrics, admission = Metrics(), AdmissionController(1)
    add_gauges(
        metrics,
        Engine(Settings(_env_file=None).engine_options()),
        admission,
        AdmissionController(1),
        AdmissionController(1),
    )
    with admission.admit(print):
        read = values(metrics.text().decode())
    assert read["stt_ready"] == 0
    assert read["stt_open_sessions"] == 1
    assert read["stt_asr_waiting"] == read["stt_vad_batches"] == 0


def test_two_servers_count_separately() -> None:
    one, other = Metrics(), Metrics()
    one.finals.labels("silence").inc()
    assert values(one.text().decode())["stt_finals_total/silence"] == 1
    assert "stt_finals_total/silence" not in values(other.text().decode())


async def test_the_heartbeat_measures_until_it_is_cancelled() -> None:
    metrics = Metrics()
    heartbeat = asyncio.create_task(metrics.heartbeat(lambda: False))
    await until(lambda: beats(metrics))
    heartbeat.cancel()
    await asyncio.wait([heartbeat])
    assert heartbeat.cancelled()


async def test_the_heartbeat_is_slow_while_the_server_is_idle() -> None:
    busy, idle = Metrics(), Metrics()
    tasks = [
        asyncio.create_task(busy.heartbeat(lambda: False)),
        asyncio.create_task(idle.heartbeat(lambda: True)),
    ]
    await until(lambda: beats(busy) >= 20)
    assert beats(idle) < 20
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def test_a_session_counts_its_finals_errors_and_audio(server: Server) -> None:
    def read() -> dict[str, float]:
        return values(server.get("/metrics").text)

    before = read()
    pcm = first_sentence()
    with Client(server.ws) as client:
        client.socket.send("nonsense")
        client.talk(pcm)
        client.end()
    after = read()

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert grown("stt_sessions_total/") == 1
    assert grown("stt_errors_total/invalid_json") == 1
    assert grown("stt_finals_total/silence") + grown("stt_finals_total/end_of_stream") == 1
    seconds = sum(
        grown(f"stt_audio_seconds_total/{outcome}") for outcome in ("speech", "non_speech", "dropped")
    )
    assert abs(seconds - len(pcm) / 32_000) < 1e-6
    assert grown("stt_vad_items") > 0
    assert after["stt_ready"] == 1


def test_the_content_type_names_the_version(server: Server) -> None:
    assert server.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_key_labels_are_bounded() -> None:
    metrics = Metrics()
    for name in (None, *(f"key_{place}" for place in range(MAX_KEY_LABELS + 1)), "key_0"):
        metrics.count_session(name)
    counted = {
        k: v for k, v in values(metrics.text().decode()).items() if k.startswith("stt_sessions_total/")
    }
    assert len(counted) == MAX_KEY_LABELS + 1
    assert counted["stt_sessions_total/"] == 1
    assert counted["stt_sessions_total/key_0"] == 2
    assert counted["stt_sessions_total/other"] == 2
