#!/usr/bin/env bash
# Sets up what is missing, then runs the server, the demo, the tests or the command line.
# `./entrypoint.sh --help` lists the commands.
# `source entrypoint.sh` only puts the CUDA libraries of the environment into LD_LIBRARY_PATH.

# When sourced, changes stay in the caller's shell, so everything happens inside one command substitution.
if [ -n "${ZSH_VERSION-}" ] || { [ -n "${BASH_VERSION-}" ] && (return 0 2>/dev/null); }; then
    LD_LIBRARY_PATH=$(
        set +eu
        for python in "${STT_PYTHON-}" "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" \
            "$(dirname -- "${BASH_SOURCE:-$0}")/.venv/bin/python" python3; do
            [ -n "$python" ] || continue
            "$python" 2>/dev/null -c '
import os, sysconfig
from pathlib import Path
folders = sorted(str(folder) for folder in Path(sysconfig.get_path("purelib"), "nvidia").glob("*/lib"))
before = os.environ.get("LD_LIBRARY_PATH", "")
kept = [folder for folder in before.split(":") if folder and folder not in folders]
print(":".join(folders + kept) if folders else before)' && exit
        done
        printf '%s' "${LD_LIBRARY_PATH-}"
    )
    if [ -n "$LD_LIBRARY_PATH" ]; then export LD_LIBRARY_PATH; else unset LD_LIBRARY_PATH; fi
    return 0
fi

[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@" # started as `sh entrypoint.sh`

set -euo pipefail
caller=$PWD
cd "$(dirname -- "${BASH_SOURCE[0]}")"
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}" # Set before Python starts: spinning threads would delay the sockets.
# glibc: all threads share two heaps, and freed memory returns to the system at once (mallopt(3)).
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-2}"
export MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-131072}"
export MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-131072}"

usage() {
    cat <<'TEXT'
usage: ./entrypoint.sh [command]

  serve          run the server (the default); HOST and PORT come from the environment or .env
  worker         work on the jobs of a server, without HTTP; DATA_DIR and DATABASE_URL say where they are
  demo           run a server, replay test.wav through it in real time, and check the words
  test [args]    run the tests in parallel; args are passed to pytest, -n 0 uses a single process
  setup          only create .venv with the packages of requirements.txt

  transcribe FILE...         transcribe audio and video files; --help lists formats and options
  convert FILE               write subtitles that were edited in another format
  models                     list the known models, and which of them are downloaded
  pull MODEL...              download models by name or by id of the hub
  keys new|list|revoke       manage a file of API keys
  jobs submit FILE|URL...    submit jobs to a server; also list, show, wait, cancel, delete

Each command first installs what is missing. Environment: STT_PYTHON names a Python that already has the packages (then
nothing is installed); pip's own variables, such as PIP_FIND_LINKS and PIP_INDEX_URL, are honoured.
TEXT
}

say() { printf '==> %s\n' "$*"; }

fail() {
    printf 'entrypoint.sh: %s\n' "$*" >&2
    exit 1
}

# Set-up

supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; }

# Print a Python that can create a virtual environment. 3.14 comes last, as PocketSphinx has no wheel for it yet.
find_python() {
    local candidate bare=""
    for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do
        supported "$candidate" || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return
        fi
        bare=${bare:-$candidate}
    done
    [ -z "$bare" ] || fail "$bare has no venv module. On Debian or Ubuntu: apt-get install $bare-venv. Then run this again."
    fail "no Python from 3.11 to 3.14 found. Install one (Debian, Ubuntu: apt-get install python3 python3-venv)," \
        "or name one that has the packages of requirements.txt: STT_PYTHON=/path/to/python ./entrypoint.sh"
}

# Create .venv unless it exists. If pip was interrupted in it, it may contain incomplete packages and is created again.
make_environment() {
    local base python=.venv/bin/python
    if [ ! -e .venv/.installing ] && supported "$python"; then
        if "$python" -c 'import pip' 2>/dev/null || "$python" -m ensurepip; then return; fi
    fi
    base=$(find_python)
    say "making .venv with $("$base" --version)"
    "$base" -m venv --clear .venv || fail "could not make .venv. Is the disk full? Remove .venv and run this again."
}

# set_up FILE: set $python to a Python that has the packages of the requirements file. A copy of the file, written to
# .venv last, marks the installation as complete.
set_up() {
    python=${STT_PYTHON:-.venv/bin/python}
    if [ -n "${STT_PYTHON-}" ]; then return; fi
    if cmp -s "$1" ".venv/.installed-$1" && supported "$python"; then return; fi
    make_environment
    say "installing the packages of $1 into .venv (the first time this takes minutes)"
    touch .venv/.installing
    "$python" -m pip install --disable-pip-version-check -r "$1" || fail "pip could not install $1; its last lines say why." \
        "No registry in reach: set PIP_INDEX_URL or PIP_FIND_LINKS. No wheel for this Python: use 3.11 to 3.13, or install" \
        "a C compiler (Debian: build-essential python3-dev). Then run this again: what was downloaded is kept."
    cp "$1" ".venv/.installed-$1"
    rm .venv/.installing
    say "set up"
}

# Models

# Before the first start, download the default model with a progress bar, and measure which size suits this machine. The
# server does the same, but reports it only in its log. On a GPU nothing is measured or kept, so every start would load the
# model twice.
choose_default_model() {
    local cache=${ASR_MODEL_CACHE:-${XDG_CACHE_HOME:-${HOME-}/.cache}/stt-server/models}
    if [ "${ASR_MODEL:-auto}" != auto ] || [ -e "$cache/default.json" ] || grep -qs '^ASR_MODEL=' .env; then return; fi
    if command -v nvidia-smi >/dev/null; then return; fi
    say "choosing the default model (the first time it is downloaded, about 150 MB)"
    "$python" -m cli pull auto >&2 ||
        say "the words will be poor: PocketSphinx runs until ./entrypoint.sh pull auto has downloaded a model"
}

# Command line

# Run in the folder of the caller, so that relative paths are resolved there. With -P modules are imported from this
# folder and not from that one.
command_line() {
    case $python in
        /*) ;;
        */*) python=$PWD/$python ;;
    esac
    export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
    cd -- "$caller"
    exec "$python" -P -m cli "$@"
}

# Demo

# Wait until the server is ready, at most for a minute and only while it runs.
wait_until_ready() {
    local ask='import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
connection.request("GET", "/ready")
sys.exit(connection.getresponse().status != 200)'
    local deadline=$((SECONDS + 60))
    until "$python" -c "$ask" "$port" 2>/dev/null; do
        kill -0 "$server" 2>/dev/null || give_up "the server ended before it was ready"
        [ "$SECONDS" -lt "$deadline" ] || give_up "the server was not ready within a minute"
        sleep 0.2
    done
}

give_up() {
    tail -n 30 "$log" >&2
    fail "$1; the end of its log is above, the whole log is in $log"
}

# Stop the processes of the demo; a server that has not ended 15 s after SIGTERM is killed.
clean_up() {
    local status=$? left=150
    kill -TERM ${client:+"$client"} "$server" 2>/dev/null || true
    while kill -0 "$server" 2>/dev/null; do
        if [ $((left -= 1)) -eq 0 ]; then
            say "the server did not stop on SIGTERM: killing it"
            kill -KILL "$server"
        fi
        sleep 0.1
    done
    if [ "$status" -eq 0 ]; then rm -f "$log"; fi
}

demo() {
    port=$("$python" -c 'import socket
with socket.create_server(("127.0.0.1", 0)) as free: print(free.getsockname()[1])')
    log=$(mktemp)
    export no_proxy="127.0.0.1${no_proxy:+,$no_proxy}"
    choose_default_model
    say "starting a server on port $port"
    HOST=127.0.0.1 PORT=$port API_KEYS="" API_KEYS_FILE="" "$python" main.py >"$log" 2>&1 &
    server=$!
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    wait_until_ready
    say "replaying test.wav in real time"
    "$python" test.py test.wav --url "ws://127.0.0.1:$port/ws/stt" --expect test.txt &
    client=$!
    local status=0
    wait "$client" || status=$?
    client=""
    [ "$status" -eq 0 ] || say "the demo failed; the server's log is in $log"
    return "$status"
}

command=${1:-serve}
[ $# -eq 0 ] || shift
case $command in
    serve | worker | demo | setup) # take no arguments
        case ${1-} in
            "") ;;
            -h | --help)
                usage
                exit
                ;;
            *)
                printf 'entrypoint.sh: %s takes no argument %s; settings come from the environment or .env\n\n' "$command" "$1" >&2
                usage >&2
                exit 2
                ;;
        esac
        ;;
esac
case $command in
    serve | worker | demo | setup) set_up requirements.txt ;;
    test) set_up requirements-dev.txt ;;
    transcribe | convert | models | pull | keys | jobs) set_up requirements.txt >&2 ;; # stdout is reserved for the output of the command
    -h | --help | help)
        usage
        exit
        ;;
    *)
        printf 'entrypoint.sh: unknown command %s\n\n' "$command" >&2
        usage >&2
        exit 2
        ;;
esac

# shellcheck source=/dev/null
STT_PYTHON=$python . "./${BASH_SOURCE[0]##*/}" # By its name, because a relative path is not relative to this folder.
case $command in
    serve)
        choose_default_model
        exec "$python" main.py "$@"
        ;;
    worker)
        choose_default_model
        exec "$python" main.py worker "$@"
        ;;
    demo) demo ;;
    transcribe | convert | models | pull | keys | jobs) command_line "$command" "$@" ;;
    test)
        # More processes than cores, as many tests wait for servers, browsers and audio in real time.
        workers=$("$python" -c 'import os; print(min(4, os.cpu_count() or 1) + 2)')
        exec "$python" -m pytest --numprocesses "$workers" --dist loadfile --no-loadscope-reorder "$@"
        ;;
    setup) say "ready: ./entrypoint.sh, ./entrypoint.sh demo, ./entrypoint.sh test" ;;
esac
