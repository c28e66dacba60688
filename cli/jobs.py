"""Run the commands `jobs submit|list|show|wait|cancel|delete` against a server."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from cli.console import FAILED, NO_FILE, OK, UNUSABLE, exit_code_of, print_error
from client.jobs import FINAL, Job, JobsClient, JobsError
from client.own_server import key_for, key_hint, server_url, settings

# Options of the command line that are fields of docs/jobs.md.
OPTIONS: Final = (
    *("model", "language", "prompt", "hotwords", "start", "end", "track", "metadata", "callback"),
    *("diarize", "multichannel", "min_speakers", "max_speakers", "redact", "profanity_filter"),
    *("summarize", "chapters"),
)


def run(args: argparse.Namespace) -> int:
    """Run one of the commands; return the exit code."""
    commands: dict[str, Callable[[JobsClient, argparse.Namespace], int]] = {
        "submit": _submit,
        "list": _list,
        "show": _show,
        "wait": lambda jobs, args: _wait(jobs, args.ids, args.format),
        "cancel": _cancel,
        "delete": _delete,
    }
    variables = settings()
    key = key_for(args.key, args.url, variables)
    try:
        with JobsClient(args.url or server_url(variables), key=key) as jobs:
            return commands[args.command](jobs, args)
    except BrokenPipeError:
        raise
    except (JobsError, OSError) as error:
        print_error(str(error))
        if isinstance(error, JobsError) and error.status == HTTPStatus.UNAUTHORIZED:
            print_error(key_hint(key is not None))
        return UNUSABLE


def _submit(jobs: JobsClient, args: argparse.Namespace) -> int:
    """Submit all sources, and print the ids of their jobs; with --wait on stderr, and their texts.

    A source that fails does not prevent the others.
    """
    given = {name: getattr(args, name) for name in OPTIONS}
    fields = {name: value for name, value in given.items() if value is not False and value != []}
    if args.translate:
        fields["task"] = "translate"
    if args.low:
        fields["priority"] = "low"
    ids: list[str] = []
    failures: set[int] = set()
    for index, source in enumerate(args.sources):
        try:
            job_id = jobs.submit(source, **fields)["id"]
        except OSError as error:
            print_error(f"{source}: {error.strerror or error}")
            failures.add(NO_FILE)
            continue
        except JobsError as error:
            if _concerns_all(error):
                for rest in args.sources[index:]:
                    print_error(f"{rest}: not submitted")
                raise
            print_error(f"{source}: {error}")
            failures.add(UNUSABLE)
            continue
        ids.append(job_id)
        if args.wait:
            print_error(f"{source}: submitted as {job_id}")
        else:
            print(job_id, flush=True)
    if args.wait and (code := _wait(jobs, ids, args.format)) != OK:
        failures.add(code)
    return exit_code_of(failures)


def _concerns_all(error: JobsError) -> bool:
    """Return whether every other file would fail likewise: there is no server, or it refuses the key."""
    return error.is_unreachable or error.status == HTTPStatus.UNAUTHORIZED


def _list(jobs: JobsClient, args: argparse.Namespace) -> int:
    for job in jobs.find(args.status):
        created = datetime.fromtimestamp(job["created_at"]).astimezone().isoformat(timespec="seconds")
        name = job["source"]["url"] or job["source"]["name"] or "-"
        print(job["id"], f"{job['status']:12}", f"{_progress(job):>16}", created, name)
    return OK


def _show(jobs: JobsClient, args: argparse.Namespace) -> int:
    for job_id in args.ids:
        print(json.dumps(jobs.get(job_id), indent=2))
    return OK


def _wait(jobs: JobsClient, ids: Sequence[str], form: str) -> int:
    """Wait for jobs in turn, and print the text of each one that succeeds."""
    code = OK
    for job_id in ids:
        with _bar() as bar:
            job = jobs.wait(job_id, partial(_advance, bar, bar.add_task(job_id, total=None, state="")))
        if job["status"] == "succeeded":
            print(jobs.transcript(job_id, form), end="" if form != "json" else "\n", flush=True)
        else:
            problem = job["error"]
            print_error(f"{job_id} {job['status']}" + (f": {problem['message']}" if problem else ""))
            code = FAILED
    return code


def _cancel(jobs: JobsClient, args: argparse.Namespace) -> int:
    """Cancel jobs; one that has ended otherwise is reported and kept."""
    code = OK
    for job_id in args.ids:
        status = jobs.cancel(job_id)["status"]
        if status != "cancelled":
            print_error(f"{job_id} has ended already: {status}")
            code = FAILED
    return code


def _delete(jobs: JobsClient, args: argparse.Namespace) -> int:
    for job_id in args.ids:
        jobs.delete(job_id)
    return OK


def _progress(job: Job) -> str:
    done, total = job["progress"]["seconds_done"], job["progress"]["seconds_total"]
    return f"{done:.0f} s" if total is None else f"{done:.0f} of {total:.0f} s"


def _bar() -> Progress:
    """Return a progress bar on stderr, shown only on a terminal."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        console=Console(stderr=True),
        redirect_stdout=False,
        disable=not sys.stderr.isatty(),
    )


def _advance(bar: Progress, task: TaskID, job: Job) -> None:
    state = job["status"]
    if job["position"]:
        state = f"{state}, {job['position']} before it"
    elif state not in FINAL:
        state = f"{state} {_progress(job)}"
    progress = job["progress"]
    bar.update(task, total=progress["seconds_total"], completed=progress["seconds_done"], state=state)
