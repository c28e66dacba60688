"""Build the responses of OpenAI's audio API: documents, subtitles and server-sent events. Pure."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson

from asr.languages import name_of
from asr.recognizer import Word
from audio.clip import seconds_from_samples
from postprocessing.summary_types import Chapters, Summary
from server.errors import ApiError
from server.http.sse import encoded_event
from server.protocols.openai_audio.request import TranscriptionRequest
from server.protocols.summary_fields import summary_fields
from streaming.local_agreement import join_texts
from transcripts.documents import docx_of, markdown_of
from transcripts.subtitles import ass_of, srt_of, vtt_of
from transcripts.transcript import (
    Transcript,
    TranscriptSegment,
    chapters_fields,
    filtered_fields,
    speaker_fields,
    speech_by_language,
    tracks_of,
)

JSON: Final = "application/json"
PLAIN: Final = "text/plain; charset=utf-8"
MARKDOWN: Final = "text/markdown; charset=utf-8"
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
SPEAKER: Final = "A"  # of all speech, if speakers are not distinguished
_SHARED: Final = (
    "text",
    "usage",
    "model",
    "ignored",
    "filtered",
    "warnings",
)  # fields of json and verbose_json
SEEK_PER_SECOND: Final = 100  # units of `seek` in a second
_FIELDS: Final = {
    "hotwords": "keywords",
    "words": "timestamp_granularities",
}  # options that have other names in this API

Fields = dict[str, Any]


def render(
    request: TranscriptionRequest,
    transcript: Transcript,
    seconds: float,
    summary: Summary | None = None,
    chapters: Chapters | None = None,
) -> tuple[bytes, str]:
    """Return the body of the response and its media type.

    seconds: duration of the audio that was transcribed
    """
    if request.format in _TEXTS:
        return _TEXTS[request.format](transcript).encode(), PLAIN
    written = None if summary is None else summary.text
    items = () if chapters is None else chapters.items
    if request.format == "md":
        return markdown_of(transcript, written, items).encode(), MARKDOWN
    if request.format == "docx":
        return docx_of(transcript, written, items), DOCX
    document = _DOCUMENTS[request.format](request, transcript, seconds) | _added(summary, chapters)
    return orjson.dumps(document), JSON


class SseTranscript:
    """Encode server-sent events while a file is being transcribed."""

    def __init__(self, request: TranscriptionRequest) -> None:
        self._request = request
        self._count = 0

    def segment(self, segment: TranscriptSegment) -> bytes:
        """Return the events of a new segment; the deltas of all segments make up the text."""
        text = segment.hypothesis.text
        delta = {"type": "transcript.text.delta", "delta": f" {text}" if self._count else text}
        if self._request.logprobs:
            delta |= _logprobs([segment], first=self._count == 0)
        self._count += 1
        if self._request.format != "diarized_json":
            return encoded_event(delta)
        diarized = _diarized(self._count, segment, words=self._request.words)
        return encoded_event(delta | {"segment_id": diarized["id"]}) + encoded_event(diarized)

    def done(
        self,
        transcript: Transcript,
        seconds: float,
        summary: Summary | None = None,
        chapters: Chapters | None = None,
    ) -> bytes:
        """Return the last event, with the whole text."""
        document = _json(self._request, transcript, seconds) | _added(summary, chapters)
        del document["usage"]  # that of this event counts tokens, for typed clients
        return encoded_event({"type": "transcript.text.done", **document})

    @staticmethod
    def error(error: ApiError) -> bytes:
        """Return the event that replaces `done` after a failure."""
        return encoded_event(error.as_body())


def _text(transcript: Transcript) -> str:
    return f"{transcript.text}\n"


def _json(request: TranscriptionRequest, transcript: Transcript, seconds: float) -> Fields:
    """Return the document of format json.

    Our additions are `model`, the model that was used; `ignored`, the options that it does not support;
    `filtered`, the segments whose text the filter removed or shortened; and `warnings`, sentences about sound
    that may be missing.
    """
    language = _language(request, transcript)
    document: Fields = {"text": transcript.text, "usage": _usage(seconds), "model": transcript.model}
    if language:
        document["languages"] = [{"code": language}]
    if request.logprobs:
        document |= _logprobs(transcript.segments)
    # Segments end with a sentence if the model has times of words, whether or not the client asked for words.
    needless = set() if request.words or request.logprobs else {"words"}
    ignored = {
        _FIELDS.get(name, name)
        for segment in transcript.segments
        for name in set(segment.hypothesis.ignored) - needless
    }
    if ignored:
        document["ignored"] = sorted(ignored)
    if transcript.filtered:
        document["filtered"] = filtered_fields(transcript.filtered)
    if transcript.warnings:
        document["warnings"] = transcript.warnings
    return document


def _verbose_json(request: TranscriptionRequest, transcript: Transcript, seconds: float) -> Fields:
    plain = _json(request, transcript, seconds)
    language = "en" if request.task == "translate" else _language(request, transcript)
    document: Fields = {"task": request.task, "language": name_of(language), "duration": seconds}
    document |= {name: plain[name] for name in _SHARED if name in plain}
    document |= tracks_of(transcript)
    if request.segments:
        document["segments"] = [
            _segment(number, segment, request.session.asr.temperature)
            for number, segment in enumerate(transcript.segments)
        ]
    if request.words:
        document["words"] = [
            {"word": word.text, **_times(word), **speaker_fields(word)}
            for each in transcript.segments
            for word in each.hypothesis.words
        ]
    return document


def _diarized_json(request: TranscriptionRequest, transcript: Transcript, seconds: float) -> Fields:
    plain = _json(request, transcript, seconds)
    segments = [
        _diarized(number, segment, words=request.words)
        for number, segment in enumerate(transcript.segments, 1)
    ]
    return {"task": request.task, "duration": seconds, **plain, "segments": segments}


def _segment(number: int, segment: TranscriptSegment, temperature: float) -> Fields:
    """Return a segment with all ten fields, which some clients require; unknown values are 0 or empty."""
    hypothesis = segment.hypothesis
    log_prob = hypothesis.avg_log_prob
    if log_prob is None and hypothesis.confidence:
        log_prob = math.log(hypothesis.confidence)
    return {
        "id": number,
        "seek": round(seconds_from_samples(segment.start) * SEEK_PER_SECOND),
        **_times(segment),
        "text": join_texts(".", hypothesis.text)[1:],  # with a space before it where the script has spaces
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": log_prob or 0.0,
        "compression_ratio": hypothesis.compression_ratio or 0.0,
        "no_speech_prob": hypothesis.no_speech_probability or 0.0,
        **speaker_fields(segment),
    }


def _diarized(number: int, segment: TranscriptSegment, *, words: bool) -> Fields:
    """Return a segment with its speaker; `words` adds its words, which are our addition."""
    fields: Fields = {
        "type": "transcript.text.segment",
        "id": f"seg_{number:03}",
        **_times(segment),
        "text": segment.hypothesis.text,
        **speaker_fields(segment),
        "speaker": segment.speaker or SPEAKER,
    }
    if words:
        fields["words"] = [
            {
                "word": word.text,
                **_times(word),
                "confidence": word.confidence,
                **speaker_fields(word),
            }
            for word in segment.hypothesis.words
        ]
    return fields


def _times(span: TranscriptSegment | Word) -> Fields:
    """Return start and end in seconds, rounded to milliseconds."""
    return {
        "start": round(seconds_from_samples(span.start), 3),
        "end": round(seconds_from_samples(span.end), 3),
    }


def _logprobs(segments: Iterable[TranscriptSegment], first: bool = True) -> Fields:
    """Return log probabilities of words, because recognizers report none of tokens; nothing if unknown.

    first: whether these are the first segments
    """
    words = [word for segment in segments for word in segment.hypothesis.words]
    tokens = [word.text if first and number == 0 else f" {word.text}" for number, word in enumerate(words)]
    found = [
        {"token": token, "logprob": math.log(word.confidence), "bytes": list(token.encode())}
        for token, word in zip(tokens, words, strict=True)
        if word.confidence
    ]
    return {"logprobs": found} if found else {}


def _added(summary: Summary | None, chapters: Chapters | None) -> Fields:
    """Return our additions `summary` and `chapters`, if they are wanted."""
    fields: Fields = {} if summary is None else {"summary": summary_fields(summary)}
    return fields if chapters is None else fields | {"chapters": chapters_fields(chapters)}


def _usage(seconds: float) -> Fields:
    return {"type": "duration", "seconds": math.ceil(seconds)}


def _language(request: TranscriptionRequest, transcript: Transcript) -> str | None:
    """Return the language of most of the speech; the requested one if the model reports none."""
    spoken = speech_by_language(transcript.segments)
    return spoken.most_common(1)[0][0] if spoken else request.session.asr.language


_TEXTS: Final[dict[str, Callable[[Transcript], str]]] = {
    "text": _text,
    "srt": srt_of,
    "vtt": vtt_of,
    "ass": ass_of,
}
_DOCUMENTS: Final[dict[str, Callable[[TranscriptionRequest, Transcript, float], Fields]]] = {
    "json": _json,
    "verbose_json": _verbose_json,
    "diarized_json": _diarized_json,
}
