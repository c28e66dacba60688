"""Test entrypoint.sh with a real bash in a folder of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "entrypoint.sh"
TOOLS = ("bash", "cat", "cmp", "cp", "dirname", "rm", "touch")

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Create a folder with entrypoint.sh, empty requirements and a main.py that prints how it was run."""
    shutil.copy(SCRIPT, tmp_path)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text("# nothing\n")
    (tmp_path / "main.py").write_text(
        "import os, sys\nprint('main', *sys.argv[1:], os.environ['OMP_WAIT_POLICY'])\n"
    )
    return tmp_path


@pytest.fixture(autouse=True)
def chosen_model(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test find that a default model was chosen before, unless it sets ASR_MODEL_CACHE itself."""
    cache = tmp_path_factory.mktemp("models")
    (cache / "default.json").touch()
    monkeypatch.setenv("ASR_MODEL_CACHE", str(cache))


def bash(checkout: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run bash in the folder, without the variables that choose a Python or a recognizer."""
    names = ("PATH", "HOME", "PIP_FIND_LINKS", "ASR_MODEL_CACHE")
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    return subprocess.run(
        ["bash", *command],
        cwd=checkout,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def entrypoint(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return bash(checkout, "entrypoint.sh", *arguments, **environment)


def set_up_before(checkout: Path, requirements: str = "requirements.txt") -> None:
    """Create what a finished setup leaves: an environment with pip and the copy of the requirements."""
    (checkout / ".venv/bin").mkdir(parents=True)
    python = checkout / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    shutil.copy(checkout / requirements, checkout / ".venv" / f".installed-{requirements}")


def only_python(checkout: Path, name: str, body: str) -> str:
    """Return a PATH with the tools of bash, and a shell script as its only Python."""
    path = checkout / "path"
    path.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None, tool
        (path / tool).symlink_to(found)
    if name:
        (path / name).write_text(f"#!/bin/sh\n{body}\n")
        (path / name).chmod(0o755)
    return str(path)


class TestCommands:
    def test_help_lists_the_commands(self, checkout: Path) -> None:
        done = entrypoint(checkout, "--help")
        assert done.returncode == 0
        assert done.stdout.startswith("usage: ./entrypoint.sh")
        server = ("serve", "worker", "demo", "test", "setup")
        command_line = ("transcribe", "convert", "models", "pull", "keys", "jobs")
        assert all(f"\n  {command}" in done.stdout for command in (*server, *command_line))

    def test_an_unknown_command_exits_2_with_the_usage(self, checkout: Path) -> None:
        done = entrypoint(checkout, "sing")
        assert (done.returncode, done.stdout) == (2, "")
        assert "unknown command sing" in done.stderr
        assert "usage: ./entrypoint.sh" in done.stderr

    @pytest.mark.parametrize("command", ["serve", "worker", "demo", "setup"])
    def test_arguments_of_commands_without_any_are_refused(self, checkout: Path, command: str) -> None:
        done = entrypoint(checkout, command, "--foo", STT_PYTHON=sys.executable)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{command} takes no argument --foo" in done.stderr
        helped = entrypoint(checkout, command, "--help", STT_PYTHON=sys.executable)
        assert helped.returncode == 0
        assert helped.stdout.startswith("usage: ./entrypoint.sh")

    def test_without_a_command_the_server_runs(self, checkout: Path) -> None:
        assert entrypoint(checkout, STT_PYTHON=sys.executable).stdout == "main passive\n"

    def test_serve_runs_the_server_from_any_folder(self, checkout: Path) -> None:
        done = bash(checkout.parent, str(checkout / "entrypoint.sh"), "serve", STT_PYTHON=sys.executable)
        assert done.stdout == "main passive\n"

    def test_worker_runs_a_worker(self, checkout: Path) -> None:
        assert entrypoint(checkout, "worker", STT_PYTHON=sys.executable).stdout == "main worker passive\n"

    def test_plain_sh_works_too(self, checkout: Path) -> None:
        done = bash(checkout, "-c", "exec sh ./entrypoint.sh serve", STT_PYTHON=sys.executable)
        assert done.stdout == "main passive\n"

    def test_a_wait_policy_of_the_users_own_stays(self, checkout: Path) -> None:
        done = entrypoint(checkout, STT_PYTHON=sys.executable, OMP_WAIT_POLICY="active")
        assert done.stdout == "main active\n"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("MALLOC_ARENA_MAX", "2"),
            ("MALLOC_TRIM_THRESHOLD_", "131072"),
            ("MALLOC_MMAP_THRESHOLD_", "131072"),
        ],
    )
    def test_allocator_variables_have_defaults(self, checkout: Path, name: str, value: str) -> None:
        (checkout / "main.py").write_text(f"import os; print(os.environ[{name!r}])")
        assert entrypoint(checkout, STT_PYTHON=sys.executable).stdout == f"{value}\n"
        chosen = entrypoint(checkout, STT_PYTHON=sys.executable, **{name: "65536"})
        assert chosen.stdout == "65536\n"

    def test_the_servers_exit_status_is_passed_on(self, checkout: Path) -> None:
        (checkout / "main.py").write_text("raise SystemExit(7)")
        assert entrypoint(checkout, STT_PYTHON=sys.executable).returncode == 7

    def test_test_passes_its_arguments_to_pytest(self, checkout: Path) -> None:
        done = entrypoint(checkout, "test", "--version", STT_PYTHON=sys.executable)
        assert (done.returncode, done.stdout) == (0, f"pytest {pytest.__version__}\n")


class TestCommandLine:
    """Test commands with a fake package cli that prints how it was run."""

    @pytest.fixture
    def cli(self, checkout: Path) -> Path:
        (checkout / "cli").mkdir()
        (checkout / "cli/__init__.py").touch()
        script = "import os, sys\nprint(*sys.argv[1:], os.getcwd(), sys.executable, sep='|')\n"
        (checkout / "cli/__main__.py").write_text(script)
        return checkout

    @pytest.mark.parametrize("command", ["transcribe", "convert", "models", "pull", "keys", "jobs"])
    def test_command_and_arguments_reach_the_command_line(self, cli: Path, command: str) -> None:
        done = entrypoint(cli, command, "a b", "--help", STT_PYTHON=sys.executable)
        assert done.stdout == f"{command}|a b|--help|{cli}|{sys.executable}\n"

    def test_relative_paths_are_those_of_the_caller(self, cli: Path) -> None:
        """A package of the caller with the same name is not used."""
        elsewhere = cli / "else where"
        (elsewhere / "cli").mkdir(parents=True)
        (elsewhere / "cli/__main__.py").write_text("raise SystemExit('the wrong package')")
        (elsewhere / "cli/__init__.py").touch()
        set_up_before(cli)
        script = f"cd '{elsewhere}' && ../entrypoint.sh transcribe talk.wav"
        done = bash(cli, "-c", script)
        assert done.stdout.startswith(f"transcribe|talk.wav|{elsewhere}|"), done.stderr

    @pytest.mark.slow
    def test_set_up_prints_nothing_to_stdout(self, cli: Path) -> None:
        set_up_before(cli)
        (cli / "requirements.txt").write_text("# still nothing\n")
        done = entrypoint(cli, "models")
        assert done.stdout.startswith("models|")
        assert done.stdout.count("\n") == 1
        assert "installing the packages" in done.stderr

    def test_exit_status_is_passed_on(self, cli: Path) -> None:
        (cli / "cli/__main__.py").write_text("raise SystemExit(2)")
        assert entrypoint(cli, "pull", "org/name", STT_PYTHON=sys.executable).returncode == 2


class TestSetup:
    def test_a_second_setup_does_nothing(self, checkout: Path) -> None:
        set_up_before(checkout)
        done = entrypoint(checkout, "setup")
        assert done.returncode == 0
        assert done.stdout == "==> ready: ./entrypoint.sh, ./entrypoint.sh demo, ./entrypoint.sh test\n"

    def test_a_python_named_by_the_user_is_taken_as_it_is(self, checkout: Path) -> None:
        assert entrypoint(checkout, "setup", STT_PYTHON=sys.executable).returncode == 0
        assert not (checkout / ".venv").exists()

    @pytest.mark.slow
    def test_changed_requirements_are_installed(self, checkout: Path) -> None:
        set_up_before(checkout)
        (checkout / "requirements.txt").write_text("# still nothing\n")
        done = entrypoint(checkout, "setup")
        assert done.returncode == 0, done.stderr
        assert "installing the packages of requirements.txt" in done.stdout
        assert (checkout / ".venv/.installed-requirements.txt").read_text() == "# still nothing\n"

    @pytest.mark.slow
    def test_a_failed_installation_says_what_to_do_and_is_not_taken_for_done(self, checkout: Path) -> None:
        set_up_before(checkout)
        (checkout / "requirements.txt").write_text("./no-such-wheel.whl\n")
        done = entrypoint(checkout, "setup")
        assert done.returncode == 1
        assert "pip could not install requirements.txt" in done.stderr
        assert "PIP_FIND_LINKS" in done.stderr
        assert (checkout / ".venv/.installed-requirements.txt").read_text() == "# nothing\n"

    @pytest.mark.slow
    def test_an_interrupted_setup_is_made_anew(self, checkout: Path) -> None:
        set_up_before(checkout)
        (checkout / ".venv/.installed-requirements.txt").unlink()
        (checkout / ".venv/.installing").touch()
        (checkout / ".venv/half-a-package").touch()
        done = entrypoint(checkout, "setup")
        assert done.returncode == 0, done.stderr
        assert "making .venv with Python 3" in done.stdout
        assert not (checkout / ".venv/half-a-package").exists()
        assert not (checkout / ".venv/.installing").exists()
        assert entrypoint(checkout, "setup").stdout.count("==>") == 1

    def test_no_python_is_said(self, checkout: Path) -> None:
        done = entrypoint(checkout, PATH=only_python(checkout, "", ""))
        assert done.returncode == 1
        assert "no Python from 3.11 to 3.14 found" in done.stderr

    def test_a_python_that_is_too_old_is_no_python(self, checkout: Path) -> None:
        done = entrypoint(checkout, PATH=only_python(checkout, "python3", "exit 1"))
        assert "no Python from 3.11 to 3.14 found" in done.stderr

    def test_a_python_without_venv_is_told_the_package_to_install(self, checkout: Path) -> None:
        no_ensurepip = f'case "$*" in *ensurepip*) exit 1 ;; esac; exec "{sys.executable}" "$@"'
        done = entrypoint(checkout, PATH=only_python(checkout, "python3.11", no_ensurepip))
        assert done.returncode == 1
        assert "apt-get install python3.11-venv" in done.stderr


class TestDemo:
    """Test `demo` with a fake main.py that answers /ready and a fake test.py with a chosen exit status."""

    SERVER = """
import os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

def stop(*_):
    open("stopped", "w").close()
    sys.exit()

signal.signal(signal.SIGTERM, stop)
HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Ready).serve_forever()
"""

    @pytest.mark.parametrize("status", [0, 1, 2])
    def test_the_demo_ends_as_the_client_does_and_stops_the_server(self, checkout: Path, status: int) -> None:
        (checkout / "main.py").write_text(self.SERVER)
        (checkout / "test.py").write_text(f"import sys; print(*sys.argv[1:]); sys.exit({status})")
        models = {"ASR_MODEL_CACHE": str(checkout / "models")}
        done = entrypoint(checkout, "demo", STT_PYTHON=sys.executable, TMPDIR=str(checkout), **models)
        assert done.returncode == status, done.stderr
        assert "choosing the default model" in done.stdout
        assert "the words will be poor" in done.stdout  # this checkout cannot download one
        assert "test.wav --url ws://127.0.0.1:" in done.stdout
        assert "/ws/stt --expect test.txt\n" in done.stdout
        assert (checkout / "stopped").exists()
        assert len(list(checkout.glob("tmp.*"))) == (status != 0)  # the log is kept only after a failure

    @pytest.mark.parametrize("command", ["demo", "serve"])
    @pytest.mark.parametrize("chosen", ["by a setting", "in .env", "before", "by the GPU"])
    def test_a_model_that_is_chosen_is_not_chosen_again(
        self, checkout: Path, command: str, chosen: str
    ) -> None:
        (checkout / "main.py").write_text("raise SystemExit('no model, no server')")
        settings = {"ASR_MODEL_CACHE": str(checkout / "models")}
        if chosen == "by a setting":
            settings["ASR_MODEL"] = "whisper-base"
        elif chosen == "in .env":
            (checkout / ".env").write_text("PORT=1\nASR_MODEL=whisper-base\n")
        elif chosen == "before":
            (checkout / "models").mkdir()
            (checkout / "models" / "default.json").touch()
        else:
            (checkout / "bin").mkdir()
            (checkout / "bin" / "nvidia-smi").touch(0o755)
            settings["PATH"] = f"{checkout / 'bin'}:{os.environ['PATH']}"
        done = entrypoint(checkout, command, STT_PYTHON=sys.executable, TMPDIR=str(checkout), **settings)
        assert "choosing the default model" not in done.stdout
        assert "no model, no server" in done.stderr

    def test_a_server_that_dies_ends_the_demo_with_its_log(self, checkout: Path) -> None:
        (checkout / "main.py").write_text("raise SystemExit('no model, no server')")
        done = entrypoint(checkout, "demo", STT_PYTHON=sys.executable, TMPDIR=str(checkout))
        assert done.returncode == 1
        assert "no model, no server" in done.stderr
        assert "the server ended before it was ready" in done.stderr


class TestSourced:
    """Compare the state of a shell: variables, functions, aliases and options, as bash prints them."""

    OWN = "_|BASH_[A-Z]+|LINENO|PIPESTATUS"  # variables that bash itself changes
    STATE = f"set | grep -vE '^({OWN}|LD_LIBRARY_PATH)='; set -o; shopt; trap; alias; pwd"

    def source(
        self, checkout: Path, before: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        script = f"{before}\nstate() {{ {self.STATE}; }}\n"
        script += "state >before; . ./entrypoint.sh; echo $?; state >after; cmp before after\n"
        script += "echo ${LD_LIBRARY_PATH-unset}"
        return bash(checkout, "-c", script, **environment)

    def cuda_folders(self, checkout: Path) -> str:
        """Create an environment with CUDA libraries, and return their folders for LD_LIBRARY_PATH."""
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True, timeout=60
        )
        (packages,) = (checkout / ".venv/lib").glob("python3*/site-packages")
        folders = [packages / "nvidia" / name / "lib" for name in ("cu13", "cudnn")]
        for folder in folders:
            folder.mkdir(parents=True)
        return ":".join(str(folder) for folder in folders)

    def test_without_cuda_libraries_nothing_changes(self, checkout: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True, timeout=60
        )
        assert self.source(checkout).stdout == "0\nunset\n"
        assert self.source(checkout, LD_LIBRARY_PATH="/mine").stdout == "0\n/mine\n"

    @pytest.mark.parametrize("before", ["", "set -euo pipefail", "set -f; shopt -s nullglob"])
    def test_only_the_library_path_changes(self, checkout: Path, before: str) -> None:
        folders = self.cuda_folders(checkout)
        done = self.source(checkout, before, LD_LIBRARY_PATH="/mine")
        assert (done.stdout, done.stderr) == (f"0\n{folders}:/mine\n", "")

    def test_sourcing_twice_is_sourcing_once(self, checkout: Path) -> None:
        folders = self.cuda_folders(checkout)
        assert self.source(checkout, ". ./entrypoint.sh").stdout == f"0\n{folders}\n"

    def test_children_see_the_library_path(self, checkout: Path) -> None:
        folders = self.cuda_folders(checkout)
        assert bash(checkout, "-c", ". ./entrypoint.sh; printenv LD_LIBRARY_PATH").stdout == f"{folders}\n"

    def test_the_server_sees_the_library_path(self, checkout: Path) -> None:
        folders = self.cuda_folders(checkout)
        shutil.copy(checkout / "requirements.txt", checkout / ".venv/.installed-requirements.txt")
        (checkout / "main.py").write_text("import os; print(os.environ['LD_LIBRARY_PATH'])")
        assert entrypoint(checkout).stdout == f"{folders}\n"

    @pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
    def test_zsh_can_source_it_too(self, checkout: Path) -> None:
        folders = self.cuda_folders(checkout)
        done = bash(checkout, "-c", "zsh -fc '. ./entrypoint.sh; echo $LD_LIBRARY_PATH'")
        assert done.stdout == f"{folders}\n"
