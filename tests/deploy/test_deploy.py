"""Test that the files in deploy/ are well-formed and name existing metrics."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from engine.engine import Engine
from server.admission.controller import AdmissionController
from server.lifecycle.probes import add_gauges
from server.observability.metrics import Metrics
from server.settings import Settings

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"
DASHBOARD: Final = json.loads((DEPLOY / "grafana/stt.json").read_text())
ALERTS: Final = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
COMPOSE: Final = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
RULES: Final[list[dict[str, Any]]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]


@cache
def series() -> dict[str, frozenset[str]]:
    """Return the families of /metrics with their names in Prometheus."""
    metrics = Metrics()
    add_gauges(
        metrics,
        Engine(Settings.model_construct().engine_options()),
        AdmissionController(1),
        AdmissionController(1),
        AdmissionController(1),
    )
    told = text_string_to_metric_families(metrics.text().decode())
    endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        family.name: frozenset(f"{family.name}{ending}" for ending in endings[family.type])
        for family in told
        if not family.name.endswith("_created")
    }


def named(text: str) -> set[str]:
    return set(re.findall(r"\bstt_\w+", text))


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def test_the_dashboard_and_the_alerts_name_only_metrics_that_there_are() -> None:
    known = frozenset[str]().union(*series().values())
    assert named(json.dumps(DASHBOARD)) - known == set()
    assert named(" ".join(rule["expr"] for rule in RULES)) - known == set()


def test_every_metric_is_in_the_dashboard() -> None:
    shown = named(" ".join(expressions()))
    assert [family for family, names in series().items() if not names & shown] == []


def test_the_panels_do_not_overlap_and_have_a_title_each() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert panel["title"]
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("expression", [*expressions(), *(rule["expr"] for rule in RULES)])
def test_the_brackets_of_an_expression_are_closed(expression: str) -> None:
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)


def test_every_alert_says_how_bad_it_is_and_what_has_happened() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "warn")
        assert rule["annotations"]["summary"]


def test_what_is_started_together_finds_its_files_and_the_server() -> None:
    stt = COMPOSE["services"]["stt"]
    scraped = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    job = scraped["scrape_configs"][0]
    assert job["static_configs"][0]["targets"] == ["stt:8000"]
    secret = Path(job["authorization"]["credentials_file"]).name
    assert [secret] == COMPOSE["services"]["prometheus"]["secrets"] == list(COMPOSE["secrets"])
    assert "prometheus:${METRICS_KEY:?}" in stt["environment"]["API_KEYS"]
    assert {name.lower() for name in stt["environment"]} <= Settings.model_fields.keys()
    mounts = [mount for service in COMPOSE["services"].values() for mount in service["volumes"]]
    there = [DEPLOY / mount.partition(":")[0] for mount in mounts if mount.startswith("./")]
    assert there
    assert all(path.exists() for path in there)
    assert {mount.partition(":")[0] for mount in mounts if "./" not in mount} == COMPOSE["volumes"].keys()
    for provisioning in DEPLOY.glob("grafana/provisioning/*/*.yaml"):
        assert yaml.safe_load(provisioning.read_text())["apiVersion"] == 1
