"""Models that answer late and in an order drawn from a seed, without an event loop."""

import random
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import numpy as np

from asr.recognizer import Hypothesis, RecognitionRequest
from batching.batcher import Batcher, Ticket
from streaming.model_clients import ModelClients, Probabilities
from tests.server.fakes import Slots
from tests.streaming.fakes import hear, recognize
from vad.detector_input import DetectorInput

Item = TypeVar("Item")
Result = TypeVar("Result")


class Late(Generic[Item, Result]):
    """Queue items like a Batcher. `answer_one` answers one of them."""

    def __init__(self, answer: Callable[[Item], Result | Exception]) -> None:
        self._answer = answer
        self._waiting: list[Ticket[Item, Result]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def post(
        self, item: Item, done: Callable[[Result | Exception], None], priority: int = 0, source: object = None
    ) -> Ticket[Item, Result]:
        self._waiting.append(Ticket(item, priority, done, 0.0))
        return self._waiting[-1]

    def promote(self, ticket: Ticket[Item, Result], priority: int) -> None:
        pass

    def cancel(self, ticket: Ticket[Item, Result]) -> bool:
        if ticket not in self._waiting:
            return False
        self._waiting.remove(ticket)
        return True

    def answer_one(self, place: int) -> None:
        ticket = self._waiting.pop(place)
        ticket.resolve(self._answer(ticket.item))


class LateModels:
    """Provide a loudness detector and a recognizer that describes its audio or fails at random."""

    def __init__(self, seed: int, failures: float = 0.0, incremental: bool = False) -> None:
        self._chance = random.Random(seed)
        self._failures = failures
        self._incremental = incremental
        self._vad: Late[DetectorInput, Probabilities] = Late(
            lambda work: np.array(hear(work.hops), np.float32)
        )
        self._asr: Late[RecognitionRequest, Hypothesis] = Late(self._recognize)

    def models(self) -> ModelClients:
        vad, asr = cast(Any, self._vad), cast(Any, self._asr)
        return ModelClients(
            Slots(),
            cast("Batcher[DetectorInput, Probabilities]", vad),
            asr,
            self._incremental,
            continues=True,
        )

    def answer_some(self) -> None:
        while self._chance.random() < 0.6 and (self._vad or self._asr):
            self._answer_one()

    def answer_detector(self) -> None:
        while self._vad:
            self._vad.answer_one(0)

    def answer_all(self) -> None:
        while self._vad or self._asr:
            self._answer_one()

    def _answer_one(self) -> None:
        if self._vad and (not self._asr or self._chance.random() < 0.8):
            self._vad.answer_one(0)
        else:
            self._asr.answer_one(self._chance.randrange(len(self._asr)))

    def _recognize(self, request: RecognitionRequest) -> Hypothesis | Exception:
        failed = self._chance.random() < self._failures
        return RuntimeError("out of memory") if failed else recognize(request)
