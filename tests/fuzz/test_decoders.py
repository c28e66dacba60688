"""Test that decoders accept or refuse any input with a typed error, and that the stream continues."""

from collections.abc import Callable
from random import Random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.recognizer import ModelInfo
from server.connection.protocol import Message, WireProtocol
from server.errors import ClientError
from server.protocols.deepgram.live_endpoint import DeepgramProtocol
from server.protocols.deepgram.live_output import DeepgramOutput, ModelMetadata
from server.protocols.deepgram.options import asked_of
from server.protocols.native.endpoint import NativeProtocol
from server.protocols.native.session_config import SessionConfig
from server.protocols.openai_realtime.endpoint import RealtimeProtocol
from server.protocols.openai_realtime.session_config import RealtimeConfig
from streaming.driver import StreamDriver
from streaming.options import SessionOptions
from tests.fuzz import malformed
from tests.fuzz.seeds import LISTEN, NATIVE, REALTIME, Endpoint
from tests.server.delayed_models import LateModels
from vad.segmenter import Reason

OPTIONS = SessionOptions()
SOUND = bytes(range(256)) * 25  # 200 ms


def native(pump: StreamDriver) -> WireProtocol:
    events = {"events": ["session.created", "transcript.partial"]}
    return NativeProtocol("5f1c", pump, SessionConfig(OPTIONS).merged(events), {})


def realtime(pump: StreamDriver) -> WireProtocol:
    return RealtimeProtocol("5f1c", pump, RealtimeConfig(OPTIONS), {})


def listen(pump: StreamDriver) -> WireProtocol:
    asked = asked_of(LISTEN.query.items(), OPTIONS)
    model = ModelMetadata.of(ModelInfo("m", "m", "f", "cpu", "none"))
    return DeepgramProtocol(pump, asked, DeepgramOutput(asked, model, "5f1c", ""))


DIALECTS = pytest.mark.parametrize(
    ("endpoint", "dialect_of"),
    [(NATIVE, native), (REALTIME, realtime), (LISTEN, listen)],
    ids=lambda d: str(d)[:9],
)


@DIALECTS
@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32))
async def test_whatever_comes_is_taken_or_refused_and_the_stream_goes_on(
    endpoint: Endpoint, dialect_of: Callable[[StreamDriver], WireProtocol], seed: int
) -> None:
    chance, models = Random(seed), LateModels(seed)
    with StreamDriver(models.models(), OPTIONS) as pump:
        dialect = dialect_of(pump)
        told = list(dialect.initial_messages())
        for _ in range(20):
            if pump.input_ended:  # the server reads no further
                break
            said = (
                malformed.sound(chance)
                if chance.random() < 0.2
                else malformed.text(chance, endpoint).decode()
            )
            told += receive(dialect, said)
            models.answer_some()
        before = pump.session.received
        if not pump.input_ended:
            receive(dialect, SOUND * 3)  # whatever rate is set by now
            assert pump.session.received > before
            dialect.pause() if isinstance(dialect, NativeProtocol) else None
        told += finish(dialect, models, pump)
        told += [message async for event in pump.events() for message in dialect.encode(event)]
    for number, message in enumerate(told, 1):
        numbered = dialect.with_sequence_number(message, number)
        assert orjson.loads(orjson.dumps(numbered)) is not None


def receive(dialect: WireProtocol, message: str | bytes) -> list[Message]:
    try:
        told = list(dialect.receive(message))
        while dialect.continue_input():
            pass
    except ClientError as error:
        complaint = dialect.encode_error(error)
        return [] if complaint is None else [complaint]
    return told


def finish(dialect: WireProtocol, models: LateModels, pump: StreamDriver) -> list[Message]:
    told = list[Message]()
    try:
        dialect.finish(Reason.END_OF_STREAM)
    except ClientError as error:  # for an incomplete sample at the end
        told = [error.as_event()]
    models.answer_all()
    assert pump.session.ended
    return told
