"""Test a live server with malformed messages. `python -m tests.fuzz` sends more of them."""

import pytest
import uvloop

from tests.fuzz.live import SETTINGS, report, send_malformed
from tests.server.server_process import MAIN, program


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_server_survives_malformed_input() -> None:
    with program(MAIN, **SETTINGS) as server:
        server.ready()
        result = uvloop.run(send_malformed(server, 8_000, seed=3, settle_seconds=2.0))
    story = report(result)
    assert not result.faults, story
    assert not result.complaints, story
    assert len(result.answers) > 20, story
