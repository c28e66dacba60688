"""What a client of OpenAI's audio API is told of a file: the formats of an answer, and its events. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson

from asr.languages import name_of
from asr.recognizer import Word
from audio.clip import seconds_from_samples
from server.errors import ApiError
from server.protocols.openai_audio.request import TranscriptionRequest
from transcripts.subtitles import srt_of, vtt_of
from transcripts.transcript import Transcript, TranscriptSegment

JSON: Final = "application/json"
PLAIN: Final = "text/plain; charset=utf-8"
SPEAKER: Final = "A"  # until speakers are told apart
SEEK: Final = 100  # of a second: the unit of a segment's `seek`
_FIELDS: Final = {"hotwords": "keywords", "words": "timestamp_granularities"}  # options by other names here

Fields = dict[str, Any]


def render(asked: TranscriptionRequest, transcript: Transcript, seconds: float) -> tuple[bytes, str]:
    """The body and its media type. seconds: of sound in the file."""
    if asked.format in _TEXTS:
        return _TEXTS[asked.format](transcript).encode(), PLAIN
    return orjson.dumps(_DOCUMENTS[asked.format](asked, transcript, seconds)), JSON


class SseTranscript:
    """The events of an answer that is told while the file is being worked on, as server-sent events."""

    def __init__(self, asked: TranscriptionRequest) -> None:
        self._asked = asked
        self._count = 0

    def segment(self, segment: TranscriptSegment) -> bytes:
        """What is new; all deltas together are the text."""
        text = segment.hypothesis.text
        delta = {"type": "transcript.text.delta", "delta": f" {text}" if self._count else text}
        if self._asked.logprobs:
            delta |= _logprobs([segment], first=self._count == 0)
        self._count += 1
        if self._asked.format != "diarized_json":
            return _event(delta)
        diarized = _diarized(self._count, segment, words=self._asked.words)
        return _event(delta | {"segment_id": diarized["id"]}) + _event(diarized)

    def done(self, transcript: Transcript, seconds: float) -> bytes:
        return _event({"type": "transcript.text.done", **_json(self._asked, transcript, seconds)})

    @staticmethod
    def error(error: ApiError) -> bytes:
        """In the place of `done`."""
        return _event(error.as_body())


def _event(fields: Fields) -> bytes:
    return b"data: " + orjson.dumps(fields) + b"\n\n"


def _text(transcript: Transcript) -> str:
    return f"{transcript.text}\n"


def _json(asked: TranscriptionRequest, transcript: Transcript, seconds: float) -> Fields:
    """model and ignored are not OpenAI's: which model did the work, and which options it cannot honour."""
    language = _language(asked, transcript)
    document: Fields = {"text": transcript.text, "usage": _usage(seconds), "model": transcript.model}
    if language:
        document["languages"] = [{"code": language}]
    if asked.logprobs:
        document |= _logprobs(transcript.segments)
    ignored = {
        _FIELDS.get(name, name) for segment in transcript.segments for name in segment.hypothesis.ignored
    }
    return document | ({"ignored": sorted(ignored)} if ignored else {})


def _verbose_json(asked: TranscriptionRequest, transcript: Transcript, seconds: float) -> Fields:
    plain = _json(asked, transcript, seconds)
    spoken = "en" if asked.task == "translate" else _language(asked, transcript)
    document: Fields = {"task": asked.task, "language": name_of(spoken), "duration": seconds}
    document |= {name: plain[name] for name in ("text", "usage", "model", "ignored") if name in plain}
    if asked.segments:
        document["segments"] = [
            _segment(number, segment, asked.session.asr.temperature)
            for number, segment in enumerate(transcript.segments)
        ]
    if asked.words:
        document["words"] = [
            {"word": word.text, **_times(word)}
            for each in transcript.segments
            for word in each.hypothesis.words
        ]
    return document


def _diarized_json(asked: TranscriptionRequest, transcript: Transcript, seconds: float) -> Fields:
    plain = _json(asked, transcript, seconds)
    segments = [
        _diarized(number, segment, words=asked.words) for number, segment in enumerate(transcript.segments, 1)
    ]
    return {"task": asked.task, "duration": seconds, **plain, "segments": segments}


def _segment(number: int, segment: TranscriptSegment, temperature: float) -> Fields:
    """All ten fields, as some clients insist on each. Where the model does not tell: 0, and no tokens."""
    hypothesis = segment.hypothesis
    log_prob = hypothesis.avg_log_prob
    if log_prob is None and hypothesis.confidence:
        log_prob = math.log(hypothesis.confidence)
    return {
        "id": number,
        "seek": round(seconds_from_samples(segment.start) * SEEK),
        **_times(segment),
        "text": hypothesis.text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": log_prob or 0.0,
        "compression_ratio": hypothesis.compression_ratio or 0.0,
        "no_speech_prob": hypothesis.no_speech_probability or 0.0,
    }


def _diarized(number: int, segment: TranscriptSegment, *, words: bool) -> Fields:
    """words: where they are asked for; they are not OpenAI's."""
    told = {
        "type": "transcript.text.segment",
        "id": f"seg_{number:03}",
        **_times(segment),
        "text": segment.hypothesis.text,
        "speaker": SPEAKER,
    }
    if words:
        told["words"] = [
            {"word": word.text, **_times(word), "confidence": word.confidence}
            for word in segment.hypothesis.words
        ]
    return told


def _times(span: TranscriptSegment | Word) -> Fields:
    """Seconds, to the millisecond."""
    return {
        "start": round(seconds_from_samples(span.start), 3),
        "end": round(seconds_from_samples(span.end), 3),
    }


def _logprobs(segments: Iterable[TranscriptSegment], first: bool = True) -> Fields:
    """Of words, as no recognizer tells them of tokens; nothing where it is not told of words either.

    first: nothing was said before
    """
    words = [word for segment in segments for word in segment.hypothesis.words]
    tokens = [word.text if first and number == 0 else f" {word.text}" for number, word in enumerate(words)]
    found = [
        {"token": token, "logprob": math.log(word.confidence), "bytes": list(token.encode())}
        for token, word in zip(tokens, words, strict=True)
        if word.confidence
    ]
    return {"logprobs": found} if found else {}


def _usage(seconds: float) -> Fields:
    return {"type": "duration", "seconds": math.ceil(seconds)}


def _language(asked: TranscriptionRequest, transcript: Transcript) -> str | None:
    """In which most of the sound was spoken; where no model says it, the one that was asked for."""
    spoken: Counter[str] = Counter()
    for segment in transcript.segments:
        if segment.hypothesis.language:
            spoken[segment.hypothesis.language] += segment.end - segment.start
    return spoken.most_common(1)[0][0] if spoken else asked.session.asr.language


_TEXTS: Final[dict[str, Callable[[Transcript], str]]] = {"text": _text, "srt": srt_of, "vtt": vtt_of}
_DOCUMENTS: Final[dict[str, Callable[[TranscriptionRequest, Transcript, float], Fields]]] = {
    "json": _json,
    "verbose_json": _verbose_json,
    "diarized_json": _diarized_json,
}
