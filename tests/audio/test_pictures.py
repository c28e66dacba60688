"""Cuts of the picture are found, and motion, noise, flashes and dissolves are none."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.errors import InvalidAudio
from audio.pictures import HEIGHT, MIN_DIFFERENCE, WIDTH, CutFinder, has_pictures, picture_cuts
from tests.audio.videos import Picture, plain, stripes, write_video
from tests.examples import examples

FRAME = 16_000 // 25


def cuts_of(pictures: list[Picture]) -> list[int]:
    """Return the numbers of the pictures that begin a shot."""
    finder = CutFinder()
    found = [number - 1 for number, picture in enumerate(pictures) if finder.add(picture)]
    return [*found, *([len(pictures) - 1] if finder.finish() else [])]


def grey(level: float) -> Picture:
    return np.full((HEIGHT, WIDTH), round(level), np.uint8)


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(2, 9)), min_size=1, max_size=8))
def test_each_change_of_still_shots_is_a_cut(shots: list[tuple[int, int]]) -> None:
    pictures: list[Picture] = []
    expected = []
    for level, length in shots:
        # Differences that follow one another at once are judged by their ratio; two still pictures part them.
        if pictures and abs(int(pictures[-1][0, 0]) - level) >= MIN_DIFFERENCE:
            expected.append(len(pictures))
        pictures += [grey(level)] * length
    assert cuts_of(pictures) == expected


def test_dissolve_is_no_cut() -> None:
    assert cuts_of([grey(level) for level in np.linspace(0, 250, 12)]) == []


def test_flash_of_one_picture_is_no_cut() -> None:
    assert cuts_of([grey(60)] * 5 + [grey(255)] + [grey(60)] * 5) == []


def test_noise_is_no_cut() -> None:
    random = np.random.default_rng(0)
    assert cuts_of([random.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8) for _ in range(20)]) == []


def test_cuts_have_the_times_of_the_frames_that_begin_a_shot(tmp_path: Path) -> None:
    moving = [stripes(2 * shift) for shift in range(30)]
    path = write_video(tmp_path / "shots.mp4", [plain(30)] * 20 + moving + [plain(220)] * 20)
    assert has_pictures(path)
    assert picture_cuts(path) == [20 * FRAME, 50 * FRAME]
    with path.open("rb") as file:
        assert picture_cuts(file) == [20 * FRAME, 50 * FRAME]


def test_cuts_count_from_the_beginning_of_the_sound(tmp_path: Path) -> None:
    path = write_video(tmp_path / "late.mkv", [plain(30)] * 10 + [plain(220)] * 10, start=25)
    (cut,) = picture_cuts(path)
    assert abs(cut - 35 * FRAME) <= 16 * 2  # Matroska has milliseconds


def test_search_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    path = write_video(tmp_path / "shots.mp4", [plain(30)] * 10 + [plain(220)] * 10)
    assert picture_cuts(path, stop=lambda: True) == []


def test_sound_has_no_pictures_and_no_cuts() -> None:
    import av

    sound = io.BytesIO()
    with av.open(sound, "w", format="wav") as output:
        stream = output.add_stream("pcm_s16le", rate=16_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1_600), np.int16), "s16", "mono")
        frame.sample_rate = 16_000
        output.mux([*stream.encode(frame), *stream.encode(None)])
    assert not has_pictures(sound)
    assert picture_cuts(sound) == []


def test_damaged_video_has_the_cuts_before_the_damage(tmp_path: Path) -> None:
    path = write_video(tmp_path / "shots.mkv", [plain(30)] * 10 + [plain(220)] * 40, sound=False)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    assert all(abs(cut - 10 * FRAME) <= 32 for cut in picture_cuts(path))


def test_text_is_refused() -> None:
    with pytest.raises(InvalidAudio):
        picture_cuts(io.BytesIO(b"no video at all"))
