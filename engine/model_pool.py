"""Recognizers: by name, loaded when they are asked for, shared by all who use them, unloaded when idle."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Final, Self

from asr.recognizer import ModelInfo
from engine.health import Health
from engine.memory_budget import MIB, BudgetExceeded, MemoryBudget, Reservation
from engine.model_handle import Asr, ModelHandle, ModelSlot, ModelState, RunningModel
from engine.supervisor import Supervisor
from engine.workers import LoadedModelInfo

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 10.0  # for so long a load that failed is not tried again, and its error told instead


class ModelUnavailableNow(Exception):
    """A recognizer that cannot be lent now; it may be later. The message is for whoever runs the server."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """users: sessions, memory: bytes; both with those of replaced ones. error: why the last load failed"""

    name: str
    state: ModelState
    memory: int
    users: int
    error: str | None
    description: ModelInfo | None


class ModelPool:
    """An async context manager: leaving it stops all of them.

    sources: by name; the first is the default, which stays once it is loaded
    build: a batcher, not entered yet, for a source; its worker, whose description is a Report, tells the
        watchdog how it fares
    weigh: bytes that a source may take, told before it was ever loaded; may block
    shelf: of its own; health: where their troubles stand, of which only the default's matter
    on_restart: called with the name of one that is started again; on_broken: with why the default is broken.
        Another one that breaks is loaded anew for those who ask from then on
    """

    def __init__(
        self,
        sources: Mapping[str, str],
        build: Callable[[str, Supervisor], Asr],
        shelf: MemoryBudget,
        *,
        weigh: Callable[[str], int] = lambda source: 0,
        retry_seconds: float = RETRY_SECONDS,
        health: Health | None = None,
        on_restart: Callable[[str], None] = lambda name: None,
        on_broken: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._entries = {name: ModelSlot(name, source) for name, source in sources.items()}
        self.default = next(iter(self._entries))
        self._build = build
        self._shelf = shelf
        self._weigh = weigh
        self._retry_seconds = retry_seconds
        self._health = health or Health()
        self._on_restart = on_restart
        self._on_broken = on_broken
        self._lives: dict[Reservation, ModelHandle] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._past_batches = self._past_items = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        lives = list(self._lives.values())
        for life in lives:
            if life.recognizer is None:
                life.task.cancel()
            else:
                life.over.set()
        await asyncio.gather(*(life.task for life in lives), return_exceptions=True)
        for life in lives:
            life.settled.set()  # where the task was cancelled before its first step

    # what there is

    @property
    def names(self) -> Sequence[str]:
        return list(self._entries)

    def resolve(self, name: str) -> str | None:
        """The name under which to borrow what a client calls so; None if it is nothing of ours.

        The default is also called what it turned out to be: auto, once it is loaded, by its model's id.
        """
        if name in self._entries:
            return name
        description = self.status(self.default).description
        return self.default if description and description.model == name else None

    def status(self, name: str) -> ModelStatus:
        entry = self._entries[name]
        places = [place for place in self._lives if place.name == name]
        lent = entry.current.recognizer if entry.current else None
        return ModelStatus(
            name,
            entry.state,
            memory=sum(place.memory for place in places),
            users=sum(place.users for place in places),
            error=entry.error,
            description=lent.description if lent else None,
        )

    @property
    def loaded(self) -> int:
        return len(self._shelf)

    @property
    def memory(self) -> int:
        """Bytes; of those that load, what is expected."""
        return self._shelf.memory

    @property
    def lag(self) -> float:
        """Seconds that finals wait for the one that is furthest behind."""
        return max((asr.lag for asr in self._batchers()), default=0.0)

    @property
    def waiting(self) -> int:
        """Jobs that wait for any of them."""
        return sum(map(len, self._batchers()))

    @property
    def batches(self) -> int:
        """That were run, by those too that are gone."""
        return self._past_batches + sum(asr.batches for asr in self._batchers())

    @property
    def items(self) -> int:
        """Jobs in those batches."""
        return self._past_items + sum(asr.items for asr in self._batchers())

    def _batchers(self) -> list[Asr]:
        return [life.recognizer.asr for life in self._lives.values() if life.recognizer]

    # what can be done

    @asynccontextmanager
    async def borrow(self, name: str) -> AsyncIterator[RunningModel]:
        """Lends a recognizer while the context lasts; first it is loaded, if it is not.

        All who ask meanwhile wait for the same load, and whoever stops waiting does not end it.
        Raises KeyError, Unavailable.
        """
        life = self._life_of(self._entries[name])
        self._shelf.take(life.place)
        try:
            yield await _settled(life)
        finally:
            self._shelf.give_back(life.place, self._now())
            self._tidy()

    def preload(self, name: str) -> None:
        """Begins to load it, if it is not there. Raises KeyError, Unavailable."""
        self._life_of(self._entries[name])

    def _life_of(self, entry: ModelSlot) -> ModelHandle:
        if entry.life is not None:
            return entry.life
        if entry.error is not None and self._now() < entry.retry_at:
            raise ModelUnavailableNow(entry.error)
        return self._begin(entry)

    def _begin(self, entry: ModelSlot) -> ModelHandle:
        if self._closed:
            raise ModelUnavailableNow("the server is stopping")
        first = entry.name == self.default and entry.current is None
        life = ModelHandle(self._shelf.add(entry.name, stays=first))
        life.watchdog = Supervisor(
            f"recognizer {entry.name}",
            self._health,
            matters=entry.name == self.default,
            on_restart=partial(self._on_restart, entry.name),
            on_broken=partial(self._break, entry, life.place),
        )
        life.task = asyncio.create_task(self._live(entry, life), name=f"recognizer {entry.name}")
        self._lives[life.place] = life
        entry.arriving = life
        return life

    # a life

    async def _live(self, entry: ModelSlot, life: ModelHandle) -> None:
        try:
            await self._make_room(life, await self._expected(entry))
            async with self._build(entry.source, life.watchdog) as asr:
                began = self._now()
                log.info("loading %s", entry.name)
                await asr.worker.start()
                report = asr.worker.description
                assert isinstance(report, LoadedModelInfo)
                entry.memory = report.memory or life.place.memory
                await self._make_room(life, entry.memory)
                seconds, mib = self._now() - began, entry.memory / MIB
                log.info("%s loaded in %.1f s, %.0f MiB: %s", entry.name, seconds, mib, report.description)
                if report.description.fallback:
                    log.warning("RECOGNIZER FALLBACK: %s", report.description.fallback)
                self._install(entry, life, RunningModel(asr, report.description))
                await life.over.wait()
            log.info("%s unloaded", entry.name)
        except Exception as error:  # told to all who wait, in the log and in /ready
            self._fail(entry, life, error)
        finally:
            self._forget(entry, life)

    async def _expected(self, entry: ModelSlot) -> int:
        if entry.memory or not self._shelf.budget:
            return entry.memory
        return await asyncio.to_thread(self._weigh, entry.source)

    async def _make_room(self, life: ModelHandle, memory: int) -> None:
        """Returns once what had to go is gone. Raises NoRoom."""
        self._dismiss(self._shelf.weigh(life.place, memory))
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _install(self, entry: ModelSlot, life: ModelHandle, recognizer: RunningModel) -> None:
        if entry.current is not None:
            self._shelf.replace(entry.current.place, life.place)
        entry.current, entry.arriving, entry.error = life, None, None
        life.recognizer = recognizer
        self._shelf.put(life.place, self._now())
        life.settled.set()
        self._tidy()

    def _fail(self, entry: ModelSlot, life: ModelHandle, error: Exception) -> None:
        life.error = entry.error = str(error) or type(error).__name__
        # Where there was no room, there may be some in a moment, and it costs nothing to look.
        entry.retry_at = self._now() + (0 if isinstance(error, BudgetExceeded) else self._retry_seconds)
        log.error(
            "%s could not be loaded: %s", entry.name, life.error, exc_info=log.isEnabledFor(logging.DEBUG)
        )

    def _break(self, entry: ModelSlot, place: Reservation, why: str) -> None:
        """It stays for those who hold it: that it is broken is what they are told."""
        entry.error, entry.retry_at = why, self._now() + self._retry_seconds
        if entry.name == self.default and entry.current is self._lives[place]:
            self._on_broken(why)

    def _forget(self, entry: ModelSlot, life: ModelHandle) -> None:
        """However it ended. Who still waits is told."""
        life.watchdog.leave()
        self._shelf.remove(life.place)
        del self._lives[life.place]
        if entry.arriving is life:
            entry.arriving = None
        if entry.current is life:
            entry.current = None
        if life.recognizer is not None:
            self._past_batches += life.recognizer.asr.batches
            self._past_items += life.recognizer.asr.items
        life.settled.set()

    # what has to go

    def _tidy(self) -> None:
        """Unloads what nobody will miss, and looks again when there may be more of it."""
        if self._closed:
            return
        self._dismiss(self._shelf.clear(self._now()))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        departure = self._shelf.next_departure()
        if departure is not None:
            self._timer = asyncio.get_running_loop().call_at(departure, self._tidy)

    def _dismiss(self, places: list[Reservation]) -> None:
        for place in places:
            life, entry = self._lives[place], self._entries[place.name]
            if entry.current is life:
                entry.current = None
            self._leaving.add(life.task)
            life.task.add_done_callback(self._leaving.discard)
            life.over.set()

    @staticmethod
    def _now() -> float:
        """Seconds."""
        return asyncio.get_running_loop().time()


async def _settled(life: ModelHandle) -> RunningModel:
    await life.settled.wait()
    if life.recognizer is None:
        raise ModelUnavailableNow(life.error or "the server is stopping")
    return life.recognizer
