"""A live server bears what is malformed: `python -m tests.fuzz` throws a million, here are fewer."""

import pytest
import uvloop

from tests.fuzz.live import SETTINGS, report, throw
from tests.server.server_process import MAIN, program


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_server_bears_what_is_malformed() -> None:
    with program(MAIN, **SETTINGS) as server:
        server.ready()
        findings = uvloop.run(throw(server, 20_000, seed=3))
    story = report(findings)
    assert not findings.faults, story
    assert not findings.complaints, story
    assert len(findings.answers) > 20, story
