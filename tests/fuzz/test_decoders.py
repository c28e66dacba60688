"""Test that decoders accept or refuse any input with a typed error, and that the stream continues."""

from collections.abc import Callable
from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import ModelInfo
from server.connection.protocol import Message, WireProtocol
from server.errors import ClientError
from server.protocols.deepgram.live_output import DeepgramOutput, ModelMetadata
from server.protocols.deepgram.live_protocol import DeepgramProtocol
from server.protocols.deepgram.options import parse_options
from server.protocols.native.protocol import NativeProtocol
from server.protocols.native.session_config import SessionConfig
from server.protocols.openai_realtime.protocol import RealtimeProtocol
from server.protocols.openai_realtime.session_config import RealtimeConfig
from streaming.driver import StreamDriver
from streaming.options import SessionOptions
from tests.examples import examples
from tests.fuzz import malformed
from tests.fuzz.seeds import LISTEN, NATIVE, REALTIME, Endpoint
from tests.server.delayed_models import LateModels
from vad.segmenter import Reason

OPTIONS = SessionOptions()
SOUND = bytes(range(256)) * 25  # 200 ms


def native(driver: StreamDriver) -> WireProtocol:
    events = {"events": ["session.created", "transcript.partial"]}
    return NativeProtocol("5f1c", driver, SessionConfig(OPTIONS).merged(events), {})


def realtime(driver: StreamDriver) -> WireProtocol:
    return RealtimeProtocol("5f1c", driver, RealtimeConfig(OPTIONS), {})


def listen(driver: StreamDriver) -> WireProtocol:
    asked = parse_options(LISTEN.query.items(), OPTIONS)
    model = ModelMetadata.of(ModelInfo("m", "m", "f", "cpu", "none"))
    return DeepgramProtocol(driver, asked, [DeepgramOutput(asked, model, "5f1c", "")])


DIALECTS = pytest.mark.parametrize(
    ("endpoint", "protocol_of"),
    [(NATIVE, native), (REALTIME, realtime), (LISTEN, listen)],
    ids=lambda d: str(d)[:9],
)


@DIALECTS
@examples(60)
@given(seed=st.integers(0, 2**32))
async def test_any_input_is_accepted_or_refused(
    endpoint: Endpoint, protocol_of: Callable[[StreamDriver], WireProtocol], seed: int
) -> None:
    chance, models = Random(seed), LateModels(seed)
    with StreamDriver(models.models(), OPTIONS) as driver:
        protocol = protocol_of(driver)
        told = list(protocol.initial_messages())
        for _ in range(20):
            if driver.input_ended:  # the server reads no further
                break
            said = (
                malformed.sound(chance)
                if chance.random() < 0.2
                else malformed.text(chance, endpoint).decode()
            )
            told += receive(protocol, said)
            models.answer_some()
        before = driver.session.received
        if not driver.input_ended:
            receive(protocol, SOUND * 3)  # whatever rate is set by now
            assert driver.session.received > before
            protocol.pause() if isinstance(protocol, NativeProtocol) else None
        told += finish(protocol, models, driver)
        told += [message async for event in driver.events() for message in protocol.encode(event)]
    for number, message in enumerate(told, 1):
        numbered = protocol.with_sequence_number(message, number)
        assert orjson.loads(orjson.dumps(numbered)) is not None


def receive(protocol: WireProtocol, message: str | bytes) -> list[Message]:
    try:
        told = list(protocol.receive(message))
        while protocol.continue_input():
            pass
    except ClientError as error:
        complaint = protocol.encode_error(error)
        return [] if complaint is None else [complaint]
    return told


def finish(protocol: WireProtocol, models: LateModels, driver: StreamDriver) -> list[Message]:
    told = list[Message]()
    try:
        protocol.finish(Reason.END_OF_STREAM)
    except ClientError as error:  # for an incomplete sample at the end
        told = [error.as_event()]
    models.answer_all()
    assert driver.session.ended
    return told
