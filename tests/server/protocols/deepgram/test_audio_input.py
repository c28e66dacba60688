"""A live client's bytes as clips."""

from hashlib import sha256

import numpy as np
import pytest

from audio.codecs import Encoding, Format
from audio.wav_header import header
from server.errors import ClientError
from server.protocols.deepgram.audio_input import DeepgramAudioInput

PCM = (np.arange(-800, 800) * 20).astype("<i2").tobytes()


def heard(sound: DeepgramAudioInput, data: bytes, piece: int) -> list[float]:
    clips = [sound.decode(data[start : start + piece]) for start in range(0, len(data), piece)]
    return [
        sample for clip in [*clips, sound.flush()] if clip is not None for sample in clip.samples.tolist()
    ]


@pytest.mark.parametrize("piece", [1, 7, 45, 4000])
def test_a_wav_is_heard_as_its_bare_samples_are(piece: int) -> None:
    bare = heard(DeepgramAudioInput(Encoding()), PCM, 4000)
    assert heard(DeepgramAudioInput(None), header(Encoding()) + PCM, piece) == bare
    assert len(bare) == 1600


def test_the_digest_is_of_all_that_came() -> None:
    sound = DeepgramAudioInput(None)
    data = header(Encoding()) + PCM
    heard(sound, data, 100)
    assert sound.sha256 == sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("encoding", "data"),
    [(None, b"OggS\0"), (Encoding(Format.FLOAT32), np.float32(np.nan).tobytes())],
    ids=["another container", "NaN"],
)
def test_what_cannot_be_decoded_ends_the_connection_as_deepgram_does(
    encoding: Encoding | None, data: bytes
) -> None:
    with pytest.raises(ClientError) as caught:
        DeepgramAudioInput(encoding).decode(data)
    assert (caught.value.close, caught.value.reason) == (1008, "DATA-0000")


def test_the_stub_of_a_sample_is_dropped_at_the_end() -> None:
    assert len(heard(DeepgramAudioInput(Encoding()), PCM + b"\1", 4000)) == 1600
