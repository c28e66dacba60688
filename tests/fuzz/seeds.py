"""List valid WebSocket messages and requests, which the fuzzers then damage."""

import base64
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]

SOUND = base64.b64encode(bytes(range(256)) * 2).decode()
VAD = {"threshold": 0.5, "silence_ms": 300, "prefix_ms": 300, "min_speech_ms": 96, "max_segment_ms": 30_000}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Hold a WebSocket path with a valid query and valid text messages."""

    path: str
    query: dict[str, str]
    messages: tuple[Message, ...]
    end: Message


NATIVE = Endpoint(
    "/ws/stt",
    {
        "events": "all",
        "format": "pcm16",
        "sample_rate": "16000",
        "channels": "1",
        "language": "en",
        "include_audio": "false",
        "words": "true",
        "hotwords": "one,two",
        "model": "free",
        "temperature": "0.5",
        "resume": "token",
        "ack": "3",
    },
    (
        {
            "type": "input_audio_buffer.append",
            "audio": SOUND,
            "sample_rate": 16_000,
            "format": "pcm16",
            "channels": 1,
            "event_id": "e1",
        },
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.clear", "event_id": "e2"},
        {"type": "marker", "id": "m"},
        {
            "type": "session.update",
            "session": {
                "language": "en",
                "prompt": "so it began",
                "hotwords": ["one", "two"],
                "task": "transcribe",
                "temperature": 0.1,
                "events": ["transcript.partial"],
                "include_audio": False,
                "words": True,
                "turn": {"mode": "adaptive", "shortest_ms": 200, "longest_ms": 900},
                "vad": VAD,
                "format": "pcm16",
                "sample_rate": 16_000,
                "channels": 1,
            },
        },
    ),
    {"type": "end_of_stream"},
)

_TRANSCRIPTION = {
    "type": "transcription",
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24_000},
            "transcription": {"model": "whisper-1", "language": "en", "prompt": "so it began"},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "silence_duration_ms": 300,
                "prefix_padding_ms": 300,
                "idle_timeout_ms": 6_000,
            },
            "noise_reduction": {"type": "near_field"},
        }
    },
    "include": ["item.input_audio_transcription.logprobs"],
}
_BETA = {
    "input_audio_format": "pcm16",
    "input_audio_transcription": {"model": "whisper-1", "language": "en"},
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
    "include": [],
}

REALTIME = Endpoint(
    "/v1/realtime",
    {"intent": "transcription", "model": "whisper-1"},
    (
        {"type": "session.update", "event_id": "e1", "session": _TRANSCRIPTION},
        {"type": "transcription_session.update", "session": _BETA},
        {"type": "input_audio_buffer.append", "audio": SOUND},
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.clear"},
        {"type": "conversation.item.retrieve", "item_id": "item_1"},
        {"type": "conversation.item.delete", "item_id": "item_1"},
        {"type": "conversation.item.create", "item": {"type": "message", "content": []}},
        {"type": "response.create", "response": {"modalities": ["text"]}},
    ),
    {"type": "session.close"},
)

LISTEN = Endpoint(
    "/v1/listen",
    {
        "encoding": "linear16",
        "sample_rate": "16000",
        "channels": "1",
        "interim_results": "true",
        "endpointing": "300",
        "utterance_end_ms": "1000",
        "vad_events": "true",
        "keyterm": "one",
        "language": "en",
        "punctuate": "true",
        "model": "nova-3",
    },
    (
        {"type": "KeepAlive"},
        {"type": "Finalize", "channel": 0},
        {"type": "Configure", "keyterms": ["one", "two"], "thresholds": {"eot_threshold": 0.5}},
    ),
    {"type": "CloseStream"},
)

ENDPOINTS = (NATIVE, REALTIME, LISTEN)


@dataclass(frozen=True, slots=True)
class Post:
    """Hold a request whose body is JSON or a form with a file. fields: of that body."""

    path: str
    fields: Message
    form: bool = False


POSTS = (
    Post("/v1/realtime/client_secrets", {"expires_after": {"seconds": 60}, "session": _TRANSCRIPTION}),
    Post("/v1/realtime/transcription_sessions", _BETA),
    Post("/v1/listen", {"url": "http://127.0.0.1:1/none.wav"}),
    Post(
        "/v1/audio/transcriptions",
        {
            "model": "whisper-1",
            "language": "en",
            "response_format": "verbose_json",
            "temperature": "0",
            "stream": "false",
            "timestamp_granularities[]": "word",
        },
        form=True,
    ),
    Post("/v1/audio/translations", {"model": "whisper-1", "response_format": "srt"}, form=True),
)
