"""Judge from the audio before a pause whether the speaker's turn is complete, with smart-turn v3.2.

The model (pipecat-ai, BSD-2-Clause) is Whisper tiny's encoder with a classifier. It needs the
package onnxruntime, which is an optional extra.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from asr.artifacts import ArtifactStore
from asr.errors import ModelUnavailable
from asr.log_mel import HOP_SAMPLES, LogMel
from audio.clip import SAMPLE_RATE, Clip

if TYPE_CHECKING:
    import onnxruntime

NAME: Final = "smart-turn-v3.2"
FILE: Final = "smart-turn-v3.2-cpu.onnx"
SAMPLES: Final = 8 * SAMPLE_RATE
BINS: Final = 80


class SmartTurn:
    """Compute how probably a turn is complete."""

    def __init__(self, session: "onnxruntime.InferenceSession") -> None:
        self._session = session
        self._log_mel = LogMel(BINS)

    @classmethod
    def load(cls, download: bool, store: ArtifactStore | None = None) -> Self:
        """Load the model from the cache of artifacts.

        download: get the file if it is not there
        Raises ModelUnavailable if the file or onnxruntime is missing.
        """
        if find_spec("onnxruntime") is None:
            raise ModelUnavailable(
                "The end-of-turn model needs onnxruntime: install the extra `turn` (pip install onnxruntime)."
            )
        store = store or ArtifactStore.from_environment()
        folder = store.fetch(NAME) if download else store.find(NAME)
        if folder is None:
            raise ModelUnavailable(f"The end-of-turn model is not here: run ./entrypoint.sh pull {NAME}.")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # More threads would compete with the recognizer for the cores.
        path = str(folder / FILE)
        return cls(onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]))

    def probability(self, clip: Clip) -> float:
        """Return how probably the turn is complete, 0 to 1, from its last 8 s, the pause included."""
        heard = clip.samples[-SAMPLES:]
        padded = np.zeros(SAMPLES, np.float32)
        padded[SAMPLES - len(heard) :] = heard
        normal = (padded - padded.mean()) / np.sqrt(padded.var() + np.float32(1e-7))
        features = self._log_mel.features(normal, SAMPLES // HOP_SAMPLES)
        return float(self._session.run(None, {"input_features": features[None]})[0].item())
