"""Define what a session asks its driver to do."""

from dataclasses import dataclass

from audio.clip import Samples
from streaming.events import Event
from streaming.utterance import RecognitionTask, TurnQuestion


@dataclass(frozen=True, slots=True, eq=False)
class DetectHops:
    """Ask the detector for the speech probabilities of the next hops, float32 (n, 512).

    A session asks for more only after it has received these.
    """

    hops: Samples


@dataclass(frozen=True, slots=True, eq=False)
class CancelTask:
    """Withdraw a recognition task whose result no longer matters."""

    task: RecognitionTask


@dataclass(frozen=True, slots=True, eq=False)
class HoldTask:
    """Keep the task of a final until the session asks for it: it waits for the final before."""

    task: RecognitionTask


# A RecognitionTask asks the recognizer for a hypothesis, a TurnQuestion the turn model for a probability; an
# Event is to be sent to the client.
Effect = DetectHops | RecognitionTask | HoldTask | CancelTask | TurnQuestion | Event
