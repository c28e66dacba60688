"""Test the messages that are kept until the models are loaded."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from server.connection.message_spool import MEMORY_BYTES, MessageSpool
from tests.examples import examples

message = st.text(max_size=20) | st.binary(max_size=20) | st.integers(1, 2 * MEMORY_BYTES).map(bytes)


@examples(50)
@given(st.lists(message, max_size=12))
def test_messages_come_back_in_order(messages: list[str | bytes]) -> None:
    async def run() -> list[str | bytes | None]:
        spool = MessageSpool()
        for each in messages:
            await spool.add(each)
        return [await spool.take() for _ in range(len(messages) + 1)]

    assert asyncio.run(run()) == [*messages, None]
