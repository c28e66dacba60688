"""Test links to live sessions: who may make and use them, what readers receive, and how they end."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI

from server.admission.controller import AdmissionController
from server.auth.access_tokens import AccessTokens
from server.auth.api_keys import ANYONE, ApiKey, ApiKeys, Principal, digest_of
from server.auth.authenticator import Authenticator
from server.auth.share_tokens import SharePass, ShareTokens
from server.connection.session_registry import SessionRegistry, digest
from server.http.exception_handlers import add_exception_handlers
from server.http.request_id import RequestMiddleware
from server.http.sse import EventStream
from server.observability.metrics import Metrics
from server.protocols.native.share_endpoint import MAX_SESSION_READERS, Reader, ShareEndpoint
from server.protocols.native.shared_transcript import ShareableSession, SharedTranscript
from tests import plain_http
from tests.server.auth.test_api_keys import Clock
from tests.server.live_server import (
    Client,
    Message,
    Server,
    dones,
    free_settings,
    serve,
    spoken,
    spoken_apart,
)
from tests.server.protocols.native.test_shared_transcript import Session, final, partial
from tests.server.server_process import MAIN, Program, free_port, program
from tests.waiting import until, wait_until

ALICE, BOB = "the-key-of-alice-0", "the-key-of-bob-0"
SECRET: Final = "thirty-two characters, or a bit more"
EVENTS: Final = "events=session.created,transcript.partial&include_audio=false"
FOR_EVER = 60.0  # seconds
Event = tuple[str, str, dict[str, Any]]  # id, name, data


def write_keys(file: Path, **keys: str) -> None:
    entries = [{"name": name, "sha256": digest_of(secret).hex()} for name, secret in keys.items()]
    file.write_text(json.dumps({"keys": entries}))


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    write_keys(file, alice=ALICE, bob=BOB)
    return file


@pytest.fixture(scope="module")
def server(key_file: Path) -> Iterator[Server]:
    settings = free_settings(
        share_sessions=True, api_keys_file=str(key_file), token_secret=SECRET, resume_seconds=60
    )
    with serve(settings) as running:
        yield running


def access(server: Server, key: str = ALICE) -> str:
    made = plain_http.post(f"{server.url}/v1/tokens", headers={"api-key": key}, timeout=60)
    token: str = made.json()["token"]
    return token


@contextmanager
def live(server: Server, query: str = EVENTS) -> Iterator[tuple[Client, str]]:
    """Yield a session of alice, and its id."""
    with Client(f"{server.ws}?token={access(server)}&{query}") as client:
        yield client, client.hear()["session_id"]


def share(server: Server | Program, session: str, key: str = ALICE, **body: object) -> httpx.Response:
    url = f"{server.url}/v1/sessions/{session}/share"
    return plain_http.post(url, headers={"api-key": key}, json=body, timeout=60)


def links_url(server: Server, session: str) -> str:
    return f"{server.url}/v1/sessions/{session}/share"


def readers(server: Server) -> float:
    text = plain_http.get(f"{server.url}/metrics", headers={"api-key": ALICE}, timeout=60).text
    return next(
        float(line.split()[1]) for line in text.splitlines() if line.startswith("stt_shared_readers ")
    )


def withdraw(server: Server, session: str, link: str, key: str = ALICE) -> httpx.Response:
    url = f"{links_url(server, session)}/{link}"
    return plain_http.request("DELETE", url, headers={"api-key": key}, timeout=60)


def shared(server: Server | Program, session: str) -> str:
    token: str = share(server, session).json()["token"]
    return token


def parse(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
            fields = {}


@contextmanager
def follow(server: Server | Program, session: str, token: str, last: str = "") -> Iterator[Iterator[Event]]:
    url = f"{server.url}/v1/shared/{session}/events?token={token}"
    headers = {"last-event-id": last} if last else {}
    with (
        httpx.Client(verify=False, timeout=60) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield parse(response.iter_lines())


def refusal(server: Server, session: str, token: str) -> tuple[int, str]:
    answer = plain_http.get(f"{server.url}/v1/shared/{session}/events?token={token}", timeout=60)
    return answer.status_code, answer.json()["error"]["code"]


def finals(events: list[Event]) -> list[str]:
    return [data["text"] for _, name, data in events if name == "final"]


# Who may share, and who may read


def test_nothing_is_shared_by_default() -> None:
    with serve(free_settings()) as plain, Client(f"{plain.ws}?{EVENTS}") as client:
        session = client.hear()["session_id"]
        assert share(plain, session).status_code == 404
        assert plain.get(f"/v1/shared/{session}/events?token=share_x").status_code == 404


def test_link_names_the_session_and_its_token(server: Server) -> None:
    with live(server) as (client, session):
        made = share(server, session, expires_in=60).json()
        client.end()
    assert made.keys() == {"id", "token", "expires_at", "link"}
    assert made["link"] == f"/captions#session={session}&token={made['token']}"


def test_link_is_withdrawn_alone(server: Server) -> None:
    with live(server) as (client, session):
        first, second = (share(server, session).json() for _ in range(2))
        listed = plain_http.get(links_url(server, session), headers={"api-key": ALICE}, timeout=60).json()
        assert listed == {
            "links": [{name: made[name] for name in ("id", "expires_at")} for made in (first, second)],
            "readers": 0,
        }
        with follow(server, session, first["token"]) as events:
            wait_until(lambda: readers(server) == 1)
            assert withdraw(server, session, first["id"], BOB).status_code == 404
            assert withdraw(server, session, first["id"], access(server)).status_code == 403
            assert withdraw(server, session, first["id"]).status_code == 204
            assert [(name, data["code"]) for _, name, data in events] == [("error", "invalid_share_token")]
        wait_until(lambda: readers(server) == 0)
        assert refusal(server, session, first["token"]) == (401, "invalid_share_token")
        with follow(server, session, second["token"]) as events:
            client.end()
            assert list(events)[-1][1] == "end"
        assert withdraw(server, session, "no-id").status_code == 400


@pytest.mark.parametrize("seconds", [59, 86_401])
def test_validity_of_a_link_is_bounded(server: Server, seconds: int) -> None:
    assert share(server, "any", expires_in=seconds).status_code == 400


@pytest.mark.parametrize("seconds", [True, "60", 60.5])
def test_validity_of_a_link_is_a_whole_number(server: Server, seconds: object) -> None:
    refused = share(server, "any", expires_in=seconds)
    assert refused.status_code == 400
    assert "expires_in" in refused.json()["error"]["message"]
    assert share(server, "any", expires_in=60.0).status_code == 404


def test_only_the_key_of_a_session_shares_it(server: Server) -> None:
    with live(server) as (client, session):
        for answer in (share(server, session, BOB), share(server, "unknown")):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "session_not_found")
        assert share(server, session, access(server)).json()["error"]["code"] == "token_not_enough"
        assert share(server, session, "share_x").status_code == 401
        client.end()
    assert share(server, session).status_code == 404  # it has ended


def test_reader_needs_the_token_of_this_session(server: Server) -> None:
    keys = ApiKeys([ApiKey("alice", digest_of(ALICE))])
    alice = Principal(keys.named("alice"))
    with live(server) as (first, session), live(server) as (second, other):
        token = shared(server, session)
        tampered = token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]
        expired = ShareTokens(SECRET, keys, Clock()).issue(alice, session, 60).value
        forged = ShareTokens("another secret of the same length", keys).issue(alice, session, 60).value
        unsuitable = ("", "x", ALICE, access(server), AccessTokens(SECRET, keys).issue(alice, 60).value)
        for wrong in (tampered, expired, forged, shared(server, other), *unsuitable):
            assert refusal(server, session, wrong) == (401, "invalid_share_token"), wrong
        assert refusal(server, other, token) == (401, "invalid_share_token")
        first.end()
        second.end()


def test_token_of_a_link_opens_nothing_else(server: Server) -> None:
    with live(server) as (client, session):
        token = shared(server, session)
        for method, path in (
            ("GET", "/v1/models"),
            ("GET", "/v1/jobs"),
            ("POST", "/v1/tokens"),
            ("POST", f"/v1/sessions/{session}/share"),
            ("GET", "/ws/stt"),
        ):
            places: list[dict[str, Any]] = [
                {"params": {"token": token}},
                {"headers": {"authorization": f"Bearer {token}"}},
            ]
            for given in places:
                assert plain_http.request(method, server.url + path, **given).status_code == 401
        client.end()


def test_session_of_another_process_is_not_found(server: Server) -> None:
    keys = ApiKeys([ApiKey("alice", digest_of(ALICE))])
    token = ShareTokens(SECRET, keys).issue(Principal(keys.named("alice")), "elsewhere", 60).value
    assert refusal(server, "elsewhere", token) == (404, "session_not_found")


# What readers receive


def test_two_readers_receive_what_the_session_sends(server: Server) -> None:
    """One follows from the start, one joins after the end of the first sentence."""
    with live(server) as (client, session), ExitStack() as stack:
        token = shared(server, session)
        early = stack.enter_context(follow(server, session, token))
        client.talk(spoken_apart(), sample_rate=16_000)
        heard: list[Message] = []
        while not dones(heard):
            heard.append(client.hear())
        late = stack.enter_context(follow(server, session, token))
        heard += client.end()
        texts = [message["transcript"] for message in dones(heard)]
        assert len(texts) >= 3
        for reader in (early, late):
            events = list(reader)
            assert finals(events) == texts
            assert events[-1][1:] == ("end", {})
            assert {name for _, name, _ in events} <= {"partial", "final", "dropped", "end"}
            assert all("audio" not in data for _, _, data in events)
        first = next(number for number, name, _ in events if name == "final")
        with follow(server, session, token, last=first) as again:
            assert finals(list(again)) == texts[1:]


def test_reader_that_returns_misses_and_repeats_nothing(server: Server) -> None:
    with live(server) as (client, session):
        token, events = shared(server, session), list[Event]()
        with follow(server, session, token) as reader:
            client.talk(spoken_apart(), sample_rate=16_000)
            while not finals(events):
                events.append(next(reader))
        texts = [message["transcript"] for message in dones(client.end())]
        with follow(server, session, token, last=events[-1][0]) as reader:
            events += reader
    assert finals(events) == texts
    numbers = [int(number) for number, _, _ in events[:-1]]
    assert numbers == sorted(set(numbers))


def test_share_begins_with_the_finals_before_it(server: Server) -> None:
    with live(server) as (client, session):
        client.talk(spoken_apart(), sample_rate=16_000)
        heard: list[Message] = []
        while not dones(heard):
            heard.append(client.hear())
        with follow(server, session, shared(server, session)) as reader:
            heard += client.end()
            assert finals(list(reader)) == [message["transcript"] for message in dones(heard)]


def test_redacted_text_stays_redacted(server: Server) -> None:
    with live(server, f"{EVENTS}&redact=aggressive_numbers") as (client, session):
        with follow(server, session, shared(server, session)) as reader:
            client.talk(spoken(), sample_rate=16_000)
            texts = [message["transcript"] for message in dones(client.end())]
            events = list(reader)
        assert finals(events) == texts
        assert "partial" not in {name for _, name, _ in events}


def test_expired_token_ends_the_events(server: Server) -> None:
    keys = ApiKeys([ApiKey("alice", digest_of(ALICE))])
    with live(server) as (client, session):
        token = ShareTokens(SECRET, keys).issue(Principal(keys.named("alice")), session, 2).value
        with follow(server, session, token) as reader:
            ((_, name, error),) = reader
        assert (name, error["code"]) == ("error", "invalid_share_token")
        client.end()


@pytest.mark.slow
def test_server_that_stops_ends_the_events_after_the_last_final() -> None:
    with ExitStack() as stack:
        running = stack.enter_context(program(MAIN, ASR_WORKER="thread", SHARE_SESSIONS="true", DATA_DIR=""))
        assert running.ready()["ready"]
        client = stack.enter_context(Client(f"{running.ws}?{EVENTS}"))
        session = client.hear()["session_id"]
        reader = stack.enter_context(follow(running, session, shared(running, session)))
        client.talk(spoken(), sample_rate=16_000)
        heard: list[Message] = []
        while not dones(heard):
            heard.append(client.hear())
        assert running.stop() == 0
        heard += client.hear_until_closed()
        events = list(reader)
        assert events[-1][1] == "end"
        assert finals(events) == [message["transcript"] for message in dones(heard)]


@pytest.mark.slow
def test_link_survives_a_restart_with_a_journal(tmp_path: Path) -> None:
    settings = {
        "ASR_WORKER": "thread",
        "SHARE_SESSIONS": "true",
        "DATA_DIR": "",
        "TOKEN_SECRET": SECRET,
        "JOURNAL_DIR": str(tmp_path),
        "PORT": str(free_port()),
    }
    events, heard = list[Event](), list[Message]()
    with program(MAIN, **settings) as first, ExitStack() as stack:
        wait_until(lambda: first.get("/ready").status_code == 200, 60)
        client = stack.enter_context(Client(f"{first.ws}?{EVENTS}"))
        created = client.hear()
        session, token = created["session_id"], shared(first, created["session_id"])
        reader = stack.enter_context(follow(first, session, token))
        client.talk(spoken_apart(), sample_rate=16_000)
        while not finals(events):
            events.append(next(reader))
        assert first.stop() == 0
        heard += client.hear_until_closed()
        events += reader
    assert (events[-1][1], events.pop()[2]["code"]) == ("error", "server_restarting")
    with program(MAIN, **settings) as second, ExitStack() as stack:
        wait_until(lambda: second.get("/ready").status_code == 200, 60)
        seen = f"resume={created['resume_token']}&ack={heard[-1]['seq']}"
        client = stack.enter_context(Client(f"{second.ws}?{seen}"))
        heard.append(client.hear())
        assert heard[-1]["type"] == "session.resumed"
        reader = stack.enter_context(follow(second, session, token, last=events[-1][0]))
        heard += client.end()
        events += reader
    assert events[-1][1] == "end"
    assert finals(events) == [message["transcript"] for message in dones(heard)]


# Bounds, without a socket


class Shared:
    """An endpoint with one session, whose id is 5f1c, of a server without keys."""

    def __init__(self, most: int = 10, keys: ApiKeys | None = None) -> None:
        self.sessions = SessionRegistry[ShareableSession](60, 10)
        session = Session()
        self.owner = ANYONE if keys is None else Principal(keys.named("alice"))
        session.owner = self.owner.name
        self.entry = ShareableSession(session)
        self.sessions.add(digest("5f1c"), self.entry)
        self.readers = AdmissionController(most, "readers")
        self.tokens = ShareTokens("", keys)
        self.auth = Authenticator(keys)
        app = FastAPI()
        app.add_middleware(RequestMiddleware, metrics=Metrics())
        add_exception_handlers(app)
        self.has_recovered = True
        endpoint = ShareEndpoint(
            self.sessions, self.tokens, self.auth, lambda: self.has_recovered, self.readers, FOR_EVER
        )
        app.include_router(endpoint.router())
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")

    async def get(self) -> httpx.Response:
        token = self.tokens.issue(self.owner, "5f1c", 60).value
        return await self._client.get("/v1/shared/5f1c/events", headers={"authorization": f"Bearer {token}"})


async def test_readers_of_a_session_are_limited() -> None:
    shared = Shared()
    transcript = shared.entry.transcript()
    transcript.ended(suspended=False)
    with ExitStack() as stack:
        for _ in range(MAX_SESSION_READERS):
            stack.enter_context(transcript.reading(asyncio.Event().set))
        answer = await shared.get()
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "reader_limit_reached")
        assert int(answer.headers["retry-after"]) > 0
    answer = await shared.get()
    assert [name for _, name, _ in parse(iter(answer.text.split("\n")))] == ["final", "end"]
    assert (transcript.readers, len(shared.readers)) == (0, 0)


async def test_readers_of_the_server_are_limited() -> None:
    shared = Shared(most=1)
    shared.entry.transcript().ended(suspended=False)
    with shared.readers.admit(lambda: None):
        answer = await shared.get()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_overloaded")
    assert (await shared.get()).status_code == 200


async def test_session_that_is_still_being_restored_is_not_unknown() -> None:
    shared = Shared()
    shared.sessions.remove(digest("5f1c"))
    shared.has_recovered = False
    answer = await shared.get()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "models_not_ready")
    shared.has_recovered = True
    assert (await shared.get()).status_code == 404


async def test_revoked_key_ends_the_events() -> None:
    keys = ApiKeys([ApiKey("alice", digest_of(ALICE))])
    shared = Shared(keys=keys)
    reading = asyncio.create_task(shared.get())
    await until(lambda: shared.entry.transcript().readers == 1)
    assert shared.auth.revoked() == []
    keys.replace([])
    (close,) = shared.auth.revoked()
    await close()
    events = list(parse(iter((await reading).text.split("\n"))))
    assert [name for _, name, _ in events] == ["final", "error"]
    assert events[-1][2]["code"] == "invalid_share_token"


def reader_of(transcript: SharedTranscript, seconds: int = 3_600) -> Reader:
    return Reader(transcript, None, SharePass("5f1c", ANYONE, _now() + seconds))


def _now() -> int:
    return ShareTokens("", None).issue(ANYONE, "5f1c", 0).expires_at


async def test_session_left_to_the_next_server_is_reported() -> None:
    transcript = SharedTranscript()
    transcript.ended(suspended=True)
    (last,) = [event async for event in reader_of(transcript).events()]
    assert b'"code":"server_restarting"' in last


async def test_quiet_stream_is_kept_open_by_comments() -> None:
    events = reader_of(SharedTranscript()).events(keep_alive_seconds=0.001)
    assert [await anext(events), await anext(events)] == [b": keep-alive\n\n"] * 2
    await events.aclose()


async def test_slow_reader_is_dropped_and_no_other_waits() -> None:
    transcript = SharedTranscript()
    transcript.sent(1, final(1))
    received: list[bytes] = []
    never = asyncio.Event()

    async def receive() -> Any:
        await never.wait()

    async def fast(message: Any) -> None:
        received.append(message.get("body", b""))

    async def stuck(message: Any) -> None:
        if message["type"] == "http.response.body":
            await never.wait()

    async def run(send: Any, send_timeout: float) -> None:
        reader, stack = reader_of(transcript), AsyncExitStack()
        stack.enter_context(transcript.reading(reader.wake))
        await EventStream(reader.events(), stack, headers={}, send_timeout=send_timeout)({}, receive, send)

    async with asyncio.TaskGroup() as group:
        slow = group.create_task(run(stuck, 0.05))
        group.create_task(run(fast, FOR_EVER))
        await until(lambda: transcript.readers == 2)
        for number in range(2, 50):  # the session never waits
            transcript.sent(number, partial(2))
        await slow
        assert transcript.readers == 1
        transcript.sent(50, final(2))
        transcript.ended(suspended=False)
    names = [name for _, name, _ in parse(iter(b"".join(received).decode().split("\n")))]
    assert names[0] == "final"
    assert names[-2:] == ["final", "end"]
    assert transcript.readers == 0
