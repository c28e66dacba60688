"""The progress of a download in another process can be read while it goes on."""

from multiprocessing import get_context
from multiprocessing.connection import Connection

from engine.load_progress import Download, LoadProgress


def report(progress: LoadProgress, step: "Connection[int, int]") -> None:
    """Announce two files, then report one of them further at each step."""
    progress.progress("a", 0, 1000)
    progress.progress("b", 0, 500)
    while True:
        step.send(0)
        progress.progress("a", step.recv(), 1000)


def test_another_process_reports_the_sum_of_its_files() -> None:
    progress = LoadProgress()
    assert progress.download is None
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=report, args=(progress, there), daemon=True)
    process.start()
    try:
        here.recv()
        assert progress.download == Download(0, 1500)
        here.send(700)
        here.recv()
        assert progress.download == Download(700, 1500)
    finally:
        process.kill()
        process.join()


def test_conversion_has_seconds_until_it_ends() -> None:
    progress = LoadProgress()
    assert progress.conversion_seconds is None
    progress.conversion("a", 2.7)
    assert progress.conversion_seconds == 2
    progress.conversion("a", None)
    assert progress.conversion_seconds is None


def test_file_of_unknown_size_counts_as_what_has_arrived() -> None:
    progress = LoadProgress()
    progress.progress("a", 700, None)
    assert progress.download == Download(700, 700)
