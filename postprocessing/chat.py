"""Ask a language model behind an OpenAI-compatible endpoint, within bounds.

The endpoint is called through OpenAI's client, which takes a second to import: only the first question of a
process does.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from json import JSONDecodeError
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, cast

from postprocessing.summary_messages import Message
from postprocessing.summary_types import SummaryEndpoint

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletionMessageParam

REQUEST_SECONDS: Final = 120.0
MAX_ANSWER_BYTES: Final = 1 << 20  # of a response
MAX_ANSWER_CHARS: Final = 20_000  # of the text

NO_TEXT: Final = "the endpoint gave no text"

_THOUGHTS: Final = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)  # Some local models write them first.
_THOUGHTS_BEGIN: Final = "<think>"
_THOUGHTS_END: Final = "</think>"

OnDelta = Callable[[str], None]


class ChatFailed(Exception):
    """The endpoint gave no usable text. The message has nothing of what was asked or answered."""


class Chat:
    """Hold the connections to an endpoint while the context lasts. It is never asked twice for one answer.

    Redirects are not followed, so that the endpoint of the settings is the only one that is asked.
    """

    def __init__(self, endpoint: SummaryEndpoint) -> None:
        self._endpoint = endpoint
        self._client: AsyncOpenAI

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(import_module, "openai")
        self._client = _client_of(self._endpoint)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def answer(
        self, messages: Sequence[Message], max_tokens: int, on_delta: OnDelta | None = None
    ) -> str:
        """Return what the model writes, without its thoughts. Raises ChatFailed.

        on_delta: called with each piece of the text as it comes; None asks for the whole answer at once
        """
        import httpx2
        import openai

        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                text = await self._ask(messages, max_tokens, on_delta)
        except TimeoutError:
            raise ChatFailed(f"one answer took more than {REQUEST_SECONDS:g} s") from None
        except openai.APIStatusError as error:
            raise ChatFailed(f"the endpoint answered with status {error.status_code}") from None
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, ChatFailed):
                raise error.__cause__ from None
            reason = type(error.__cause__ or error).__name__
            raise ChatFailed(f"the endpoint cannot be used: {reason}") from None
        except httpx2.HTTPError as error:  # in the middle of a stream
            raise ChatFailed(f"the endpoint cannot be used: {type(error).__name__}") from None
        except (openai.OpenAIError, JSONDecodeError, UnicodeDecodeError):
            raise ChatFailed(NO_TEXT) from None
        if len(text) > MAX_ANSWER_CHARS:
            raise ChatFailed("the answer of the endpoint is too long")
        if not (written := _THOUGHTS.sub("", text).strip()):
            raise ChatFailed(NO_TEXT)
        return written

    async def _ask(self, messages: Sequence[Message], max_tokens: int, on_delta: OnDelta | None) -> str:
        asked = cast("list[ChatCompletionMessageParam]", list(messages))  # a type of the client's own
        create = self._client.chat.completions.create
        if on_delta is None:
            whole = await create(
                model=self._endpoint.model,
                messages=asked,
                max_tokens=max_tokens,
                temperature=0,
            )
            with _no_text():
                return _text(whole.choices[0].message.content)
        pieces: list[str] = []
        visible, length = VisibleText(), 0
        async with await create(
            model=self._endpoint.model,
            messages=asked,
            max_tokens=max_tokens,
            temperature=0,
            stream=True,
        ) as stream:
            async for chunk in stream:
                with _no_text():
                    # A chunk may only tell the end or what was used.
                    piece = chunk.choices[0].delta.content if chunk.choices else None
                    if piece is None:
                        continue
                    pieces.append(_text(piece))
                length += len(piece)
                if length > MAX_ANSWER_CHARS:
                    break
                if shown := visible.push(piece):
                    on_delta(shown)
        return "".join(pieces)


class VisibleText:
    """Leave out of a text that comes in pieces the thoughts with which some models begin."""

    def __init__(self) -> None:
        self._held: str | None = ""  # what may still be thoughts; None once the text has begun

    def push(self, piece: str) -> str:
        """Return what can be shown now that a piece has come."""
        if self._held is None:
            return piece
        self._held = (self._held + piece).lstrip()
        if self._held.startswith(_THOUGHTS_BEGIN):
            _, end, rest = self._held.partition(_THOUGHTS_END)
            return self._begin(rest.lstrip()) if end and rest.strip() else ""
        if _THOUGHTS_BEGIN.startswith(self._held):
            return ""
        return self._begin(self._held)

    def _begin(self, text: str) -> str:
        self._held = None
        return text


@contextmanager
def _no_text() -> Iterator[None]:
    """Turn what an answer of another shape causes into ChatFailed; the client does not check types."""
    try:
        yield
    except (AttributeError, LookupError, TypeError):
        raise ChatFailed(NO_TEXT) from None


def _text(value: object) -> str:
    """Return a text that the endpoint sent. Raises TypeError if it is none."""
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _client_of(endpoint: SummaryEndpoint) -> "AsyncOpenAI":
    import httpx2
    from openai import AsyncOpenAI

    # What the environment names for OpenAI's own service is not used.
    return AsyncOpenAI(
        api_key=endpoint.api_key or "none",
        base_url=endpoint.url,
        organization="",
        project="",
        max_retries=0,
        timeout=REQUEST_SECONDS,
        default_headers={"Accept-Encoding": "identity"},
        http_client=httpx2.AsyncClient(
            transport=_bounded(httpx2.AsyncHTTPTransport(), has_key=bool(endpoint.api_key)),
            follow_redirects=False,
            trust_env=False,  # A proxy of the environment would have a transport without these bounds.
        ),
    )


def _bounded(transport: "httpx2.AsyncHTTPTransport", *, has_key: bool) -> "httpx2.AsyncBaseTransport":
    """Return a transport whose responses have at most MAX_ANSWER_BYTES.

    has_key: whether requests keep the header with the key, which the client always sends
    """
    import httpx2

    class Body(httpx2.AsyncByteStream):
        def __init__(self, stream: httpx2.AsyncByteStream) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in self._stream:
                size += len(chunk)
                if size > MAX_ANSWER_BYTES:
                    raise ChatFailed("the answer of the endpoint is too long")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    class Bounded(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if not has_key:
                del request.headers["authorization"]
            response = await transport.handle_async_request(request)
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                await response.aclose()
                raise ChatFailed("the endpoint compressed its answer, which was not asked for")
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = Body(response.stream)
            return response

        async def aclose(self) -> None:
            await transport.aclose()

    return Bounded()
