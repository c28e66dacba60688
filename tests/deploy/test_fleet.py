"""The files in deploy/ for servers with workers and Postgres agree with each other and with the program."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from configparser import ConfigParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml  # type: ignore[import-untyped]

from server.auth.middleware import OPEN_PATHS
from server.lifecycle.liveness import ALIVE_SECONDS
from server.lifecycle.worker_process import UNUSABLE
from server.settings import Settings
from tests.deploy.helm_chart import CHART, Manifest, render

ROOT: Final = Path(__file__).resolve().parents[2]
DEPLOY: Final = ROOT / "deploy"
UNITS: Final = {"serve": "stt.service", "worker": "stt-worker@.service"}
# Variables that are not settings of the server, but of libraries and the system.
OTHER_VARIABLES: Final = {"HF_HOME", "ASR_MODEL_CACHE", "TMPDIR"}
MARGIN_SECONDS: Final = 5
DRAIN_SECONDS: Final[float] = Settings.model_fields["shutdown_timeout_seconds"].default
PROBES: Final = {"startupProbe", "livenessProbe", "readinessProbe"}
BUCKET: Final = {"audio": {"url": "s3://bucket/prefix"}}
VALUES: Final[list[dict[str, dict[str, Any]]]] = [
    {},
    BUCKET,
    {"audio": {"storageClass": "nfs"}, "postgres": {"enabled": False}},
    {"settings": {"ASR_PRELOAD": "true", "MAX_JOBS": "30", "ORIGINS": "*, https://a.example"}},
]


def settings_of(variables: Mapping[str, str]) -> Settings:
    """Return the settings of a process with these variables. Raises AssertionError for an unknown one."""
    given = {name.lower(): value for name, value in variables.items() if name not in OTHER_VARIABLES}
    assert given.keys() <= Settings.model_fields.keys()
    return Settings.model_validate(Settings.model_construct().model_dump() | given)


# systemd


def unit(command: str) -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((DEPLOY / "systemd" / UNITS[command]).read_text())
    return parser


def unit_variables(command: str) -> dict[str, str]:
    lines = re.findall(r"^Environment=(.+)$", (DEPLOY / "systemd" / UNITS[command]).read_text(), re.M)
    return dict(variable.split("=", 1) for line in lines for variable in line.split())


@pytest.mark.parametrize("command", UNITS)
def test_unit_restarts_the_process_unless_its_settings_are_wrong(command: str) -> None:
    service = unit(command)["Service"]
    assert service["ExecStart"] == f"{service['WorkingDirectory']}/entrypoint.sh {command}"
    assert service["Restart"] == "always"
    assert unit(command)["Unit"]["StartLimitIntervalSec"] == "0"
    assert service["RestartPreventExitStatus"] == str(UNUSABLE)


@pytest.mark.parametrize("command", UNITS)
def test_unit_drains_before_it_kills(command: str) -> None:
    service = unit(command)["Service"]
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) >= DRAIN_SECONDS + MARGIN_SECONDS


@pytest.mark.parametrize("command", UNITS)
def test_unit_writes_only_to_folders_that_systemd_makes(command: str) -> None:
    service, variables = unit(command)["Service"], unit_variables(command)
    settings_of(variables)
    folders = (f"/var/lib/{service['StateDirectory']}/", f"/var/cache/{service['CacheDirectory']}")
    assert all(value.startswith(folders) for name, value in variables.items() if name != "WORKER_ID")


def test_unit_of_a_worker_is_restarted_when_it_hangs() -> None:
    service = unit("worker")["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) >= 10 * ALIVE_SECONDS
    assert service["TimeoutStartSec"] == "infinity"


def test_units_share_their_jobs_and_their_models() -> None:
    server, worker = unit_variables("serve"), unit_variables("worker")
    assert worker.pop("WORKER_ID") == "%H-%i"
    assert worker.items() <= server.items()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("command", UNITS)
def test_systemd_accepts_the_unit(command: str, tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / UNITS[command]).read_text()
    path = tmp_path / UNITS[command].replace("@", "@1")
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/sh", text, flags=re.M))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, timeout=30
    )
    problems = [line for line in done.stderr.splitlines() if path.name in line]
    assert problems == []


# Docker Compose


def services() -> dict[str, Any]:
    """Return the services of compose.yaml with what compose.fleet.yaml adds, as Compose merges them."""
    base, added = (
        yaml.safe_load((DEPLOY / f"{name}.yaml").read_text()) for name in ("compose", "compose.fleet")
    )
    assert added["volumes"].keys() == {"postgres"}
    merged: dict[str, Any] = dict(base["services"])
    for name, service in added["services"].items():
        first = merged.get(name, {})
        environment = first.get("environment", {}) | service["environment"]
        merged[name] = first | service | {"environment": environment}
    return merged


def compose_workers() -> list[dict[str, Any]]:
    return [service for service in services().values() if service.get("command") == ["worker"]]


def test_compose_leaves_jobs_to_workers_with_fixed_names() -> None:
    server = settings_of(services()["stt"]["environment"] | {"API_KEYS": "me:0123456789abcdef"})
    workers = [settings_of(service["environment"]) for service in compose_workers()]
    assert server.jobs_at_once == 0
    assert len({worker.worker_id for worker in workers}) == len(workers) == 2
    assert all(worker.worker_id and worker.jobs_at_once for worker in workers)


def test_compose_gives_all_the_same_database_and_volumes() -> None:
    processes = [services()["stt"], *compose_workers()]
    (url,) = {process["environment"]["DATABASE_URL"] for process in processes}
    database = services()[urlsplit(url.replace("${POSTGRES_PASSWORD:?}", "secret")).hostname]
    assert database["environment"]["POSTGRES_PASSWORD"] in url
    assert url.startswith(f"postgresql://{database['environment']['POSTGRES_USER']}:")
    assert len({tuple(process["volumes"]) for process in processes}) == 1


def test_compose_drains_and_probes_only_what_answers() -> None:
    for process in (services()["stt"], *compose_workers()):
        assert int(process["stop_grace_period"].removesuffix("s")) >= DRAIN_SECONDS + MARGIN_SECONDS
        assert process["restart"] == "unless-stopped"
    for worker in compose_workers():
        assert f" {worker['environment']['WORKER_ALIVE_FILE']} " in worker["healthcheck"]["test"][-1]
    waited_for = {name for worker in compose_workers() for name in worker["depends_on"]}
    assert waited_for == {"stt", "postgres"}
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    assert services()["postgres"]["healthcheck"]["test"]


# Helm


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pod(manifests: list[Manifest], name: str) -> Manifest:
    spec: Manifest = named(manifests, "StatefulSet", name)["spec"]["template"]["spec"]
    return spec


def container(manifests: list[Manifest], name: str) -> Manifest:
    (found,) = pod(manifests, name)["containers"]
    return dict(found)


def pod_variables(manifests: list[Manifest], name: str) -> dict[str, str]:
    """Return the variables of a pod; those of the cluster and of the Secret have a value of their own."""
    shared: dict[str, str] = named(manifests, "ConfigMap", "stt-settings")["data"]
    own = {each["name"]: each.get("value", name) for each in container(manifests, name)["env"]}
    secret = {"API_KEYS": "me:0123456789abcdef", "DATABASE_URL": "postgresql://stt:secret@stt-postgres/stt"}
    return shared | own | secret


@pytest.mark.parametrize("values", VALUES)
def test_chart_gives_server_and_workers_valid_settings(values: dict[str, dict[str, Any]]) -> None:
    manifests = render(values)
    server = settings_of(pod_variables(manifests, "stt-server"))
    worker = settings_of(pod_variables(manifests, "stt-worker"))
    assert (server.host, server.port, server.jobs_at_once) == ("0.0.0.0", 8000, 0)
    assert worker.jobs_at_once == 2
    assert server.data_dir == worker.data_dir
    assert server.job_audio_url == worker.job_audio_url == values.get("audio", {}).get("url", "")
    for name, value in values.get("settings", {}).items():
        assert named(manifests, "ConfigMap", "stt-settings")["data"][name] == value


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.skipif(shutil.which("helm") is None, reason="Helm is not installed")
def test_helm_renders_the_chart_as_these_tests_do(values: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    changes = tmp_path / "values.yaml"
    changes.write_text(yaml.safe_dump(values))
    command = ["helm", "template", "stt", str(CHART), "--values", str(changes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr

    def by_name(manifests: Iterable[Manifest]) -> dict[tuple[str, str], Manifest]:
        return {(each["kind"], each["metadata"]["name"]): each for each in manifests}

    found, expected = by_name(filter(None, yaml.safe_load_all(done.stdout))), by_name(render(values))
    for manifests in (found, expected):  # The two write the YAML whose checksum it is with other quotes.
        for name in ("stt-server", "stt-worker"):
            annotations = manifests["StatefulSet", name]["spec"]["template"]["metadata"]["annotations"]
            assert len(annotations.pop("checksum/settings")) == 64
    assert found == expected


@pytest.mark.parametrize("values", VALUES)
def test_objects_of_the_chart_find_each_other(values: dict[str, dict[str, Any]]) -> None:
    manifests = render(values)
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests]
    assert len(set(names)) == len(names)
    for each in manifests:
        if each["kind"] != "StatefulSet":
            continue
        spec = each["spec"]
        labels = spec["template"]["metadata"]["labels"]
        service = named(manifests, "Service", spec["serviceName"])
        assert spec["selector"]["matchLabels"] == service["spec"]["selector"] == labels
        inside = spec["template"]["spec"]
        (process,) = inside["containers"]
        ports = {port["name"] for port in process.get("ports", ())}
        assert {port["targetPort"] for port in service["spec"].get("ports", ())} == ports
        volumes = {volume["name"]: volume for volume in inside.get("volumes", ())}
        claims = {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
        assert {mount["name"] for mount in process["volumeMounts"]} == volumes.keys() | claims
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                named(manifests, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])


def test_chart_shares_audio_by_a_volume_or_a_bucket() -> None:
    for name in ("stt-server", "stt-worker"):
        by_volume = {volume["name"]: volume for volume in pod(render(), name)["volumes"]}
        by_bucket = {volume["name"]: volume for volume in pod(render(BUCKET), name)["volumes"]}
        assert by_volume["audio"]["persistentVolumeClaim"]["claimName"] == "stt-audio"
        assert by_bucket["audio"]["emptyDir"] == {}
        mounts = {mount["name"]: mount["mountPath"] for mount in container(render(), name)["volumeMounts"]}
        assert mounts["audio"] == pod_variables(render(), name)["DATA_DIR"]
    assert named(render(), "PersistentVolumeClaim", "stt-audio")["spec"]["accessModes"] == ["ReadWriteMany"]
    assert "PersistentVolumeClaim" not in {each["kind"] for each in render(BUCKET)}


def test_worker_of_the_chart_keeps_its_name_and_is_probed_by_its_file() -> None:
    worker = container(render(), "stt-worker")
    (name,) = [each for each in worker["env"] if each["name"] == "WORKER_ID"]
    assert name["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert worker["args"] == ["worker"]
    file = pod_variables(render(), "stt-worker")["WORKER_ALIVE_FILE"]
    assert worker.keys() & PROBES == {"startupProbe", "livenessProbe"}
    for name in worker.keys() & PROBES:
        assert f" {file} " in worker[name]["exec"]["command"][-1]
    assert file.startswith(tuple(f"{mount['mountPath']}/" for mount in worker["volumeMounts"]))
    assert "ports" not in worker


def test_server_of_the_chart_is_probed_without_a_key() -> None:
    server = container(render(), "stt-server")
    paths = {name: server[name]["httpGet"]["path"] for name in PROBES}
    assert paths == {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready"}
    assert set(paths.values()) <= OPEN_PATHS
    assert {server[name]["httpGet"]["port"] for name in PROBES} == {"http"}
    assert server["ports"] == [{"name": "http", "containerPort": 8000}]


def test_pods_of_the_chart_drain_before_they_are_killed() -> None:
    server = container(render(), "stt-server")
    before = int(server["lifecycle"]["preStop"]["exec"]["command"][1])
    grace = pod(render(), "stt-server")["terminationGracePeriodSeconds"]
    assert grace >= before + DRAIN_SECONDS + MARGIN_SECONDS
    assert pod(render(), "stt-worker")["terminationGracePeriodSeconds"] >= DRAIN_SECONDS + MARGIN_SECONDS


def test_commands_of_all_kinds_are_those_of_entrypoint() -> None:
    entrypoint = (ROOT / "entrypoint.sh").read_text()
    used = {*UNITS, *container(render(), "stt-server")["args"], *container(render(), "stt-worker")["args"]}
    assert used == {"serve", "worker"}
    assert all(re.search(rf"^    {command}\)$", entrypoint, re.M) for command in used)


def test_password_of_postgres_is_in_the_secret_of_the_chart() -> None:
    (given,) = [e for e in container(render(), "stt-postgres")["env"] if e["name"] == "POSTGRES_PASSWORD"]
    assert given["valueFrom"]["secretKeyRef"] == {"name": "stt", "key": "POSTGRES_PASSWORD"}
    assert not [each for each in render({"postgres": {"enabled": False}}) if "postgres" in str(each)]
