"""Test the speech, the clips and the figures of bench.load.file_upload."""

from pathlib import Path

from audio.files import decode_file, probe
from bench import ROOT
from bench.load.file_upload import UploadCost, _clips, make_speech, report

SPOKEN = ROOT / "test.wav"


def test_speech_is_as_long_as_was_asked_for_or_a_little_longer(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    seconds = make_speech(SPOKEN, 30, path)
    assert 30 <= seconds < 30 + 13
    assert probe(path).seconds == seconds


def test_clips_are_cut_out_of_the_file_where_the_segments_are() -> None:
    spans = [(0.25, 1.5), (1.5, 4.0), (9.0, 12.03)]
    whole = list(decode_file(SPOKEN))
    clips = list(_clips(SPOKEN, spans))
    assert [(clip.start, clip.end) for clip in clips] == [
        (round(start * 16_000), round(end * 16_000)) for start, end in spans
    ]
    assert clips[0].samples[0] == whole[0].samples[4_000]


def test_figures_compare_the_server_with_the_recognizer_alone() -> None:
    mib = 2**20
    figures = report(
        60.0, [(0.0, 5.0)], UploadCost(11.0, 12.0, 100 * mib, 130 * mib), {"wall": 10.0, "cpu": 10.0}
    )
    assert (figures["wall_ratio"], figures["cpu_ratio"], figures["peak_above_idle_mb"]) == (1.1, 1.2, 30.0)
