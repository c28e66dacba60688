"""Build the response of Deepgram's API for a file. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import fmean

from asr.recognizer import Word
from diarization.known_speakers import number_of
from postprocessing.summary_types import Summary
from server.protocols.deepgram.live_output import ModelMetadata
from server.protocols.deepgram.messages import (
    AlternativeFields,
    ChannelFields,
    FileMetadata,
    FileResults,
    FileTranscription,
    ParagraphFields,
    ParagraphsFields,
    SentenceFields,
    SummaryFields,
    UtteranceFields,
    WarningFields,
)
from server.protocols.deepgram.options import DeepgramOptions
from server.protocols.deepgram.words import (
    format_text,
    join_words,
    normalize,
    seconds,
    timed_words,
    words_fields,
)
from transcripts.paragraphs import Sentence, paragraphs_of
from transcripts.transcript import FilteredText, TranscriptSegment, filtered_fields

Words = Sequence[Word]


@dataclass(frozen=True, slots=True)
class FileResult:
    """Hold the transcript of a file.

    sha256: hash of the body, in hex
    created: time of the request, as `timestamp` writes it
    seconds: duration of the file
    warnings: sentences about sound that may be missing
    channels: number of channels that were transcribed apart; each is a speaker if there are several
    """

    request_id: str
    sha256: str
    created: str
    seconds: float
    segments: Sequence[TranscriptSegment]
    filtered: Sequence[FilteredText] = ()
    warnings: Sequence[str] = ()
    summary: Summary | None = None
    channels: int = 1


def build_response(options: DeepgramOptions, model: ModelMetadata, result: FileResult) -> FileTranscription:
    """Return the response."""
    channels = _channels(result)
    results = FileResults(channels=[_channel(options, segments) for segments in channels])
    if options.utterances:
        runs = [
            (channel, run)
            for channel, segments in enumerate(channels)
            for run in _split_utterances([word for each in segments for word in _words(each)], options.split)
        ]
        runs.sort(key=lambda each: each[1][0].start)
        results["utterances"] = [
            _utterance(options, f"{result.request_id}-{number}", channel, run)
            for number, (channel, run) in enumerate(runs)
        ]
    if result.summary is not None:
        results["summary"] = SummaryFields(
            result="success", short=result.summary.text, method=result.summary.method
        )
    return FileTranscription(metadata=_metadata(options, model, result), results=results)


def _metadata(options: DeepgramOptions, model: ModelMetadata, result: FileResult) -> FileMetadata:
    metadata = FileMetadata(
        transaction_key="deprecated",
        request_id=result.request_id,
        sha256=result.sha256,
        created=result.created,
        duration=round(result.seconds, 3),
        channels=result.channels,
        models=[model.uuid],
        model_info={model.uuid: model.info},
    )
    if options.tags:
        metadata["tags"] = options.tags
    ignored = {name for each in result.segments for name in each.hypothesis.ignored}
    if ignored:
        metadata["ignored"] = sorted(ignored)
    if result.filtered:
        metadata["filtered"] = filtered_fields(result.filtered)
    if result.warnings:
        metadata["warnings"] = [
            WarningFields(parameter="file", type="incomplete_audio", message=message)
            for message in result.warnings
        ]
    return metadata


def _channels(result: FileResult) -> list[list[TranscriptSegment]]:
    """Return the segments of each channel."""
    channels: list[list[TranscriptSegment]] = [[] for _ in range(result.channels)]
    for segment in result.segments:
        channels[number_of(segment.speaker) if result.channels > 1 else 0].append(segment)
    return channels


def _channel(options: DeepgramOptions, segments: Sequence[TranscriptSegment]) -> ChannelFields:
    parts = [_words(each) for each in segments]
    words = [word for part in parts for word in part]
    text = " ".join(each.hypothesis.text for each in segments)
    alternative = AlternativeFields(
        transcript=format_text(text, options.formatted),
        confidence=_confidence(words),
        words=words_fields(words, options.formatted, options.diarized),
    )
    if options.paragraphs:
        alternative["paragraphs"] = _paragraphs(parts)
    channel = ChannelFields(alternatives=[alternative])
    language = _language(segments)
    if options.detects_language and language is not None:
        channel["detected_language"] = language
    return channel


def _words(segment: TranscriptSegment) -> Words:
    words = timed_words(segment.hypothesis, segment.start, segment.end)
    if segment.speaker is None or segment.hypothesis.words:
        return words
    return [replace(word, speaker=segment.speaker) for word in words]


def _confidence(words: Words) -> float:
    return fmean(word.confidence or 0.0 for word in words) if words else 0.0


def _language(segments: Sequence[TranscriptSegment]) -> str | None:
    """Return the language of most of the speech, if it is known."""
    spoken: Counter[str] = Counter()
    for segment in segments:
        if segment.hypothesis.language:
            spoken[segment.hypothesis.language] += segment.end - segment.start
    return spoken.most_common(1)[0][0] if spoken else None


def _utterance(options: DeepgramOptions, name: str, channel: int, words: Words) -> UtteranceFields:
    utterance = UtteranceFields(
        start=seconds(words[0].start),
        end=seconds(words[-1].end),
        confidence=_confidence(words),
        channel=channel,
        transcript=format_text(_text(words), options.formatted),
        words=words_fields(words, options.formatted, options.diarized),
        id=name,
    )
    if options.diarized:
        utterance["speaker"] = number_of(words[0].speaker)
    return utterance


def _paragraphs(segments: Sequence[Words]) -> ParagraphsFields:
    paragraphs = [
        paragraph
        for _, own in groupby(filter(None, segments), lambda words: words[0].speaker)
        for paragraph in paragraphs_of(own)
    ]
    texts = [" ".join(map(_text, paragraph)) for paragraph in paragraphs]
    return ParagraphsFields(
        transcript="".join(f"\n\n{text}" for text in texts).lstrip("\n"),
        paragraphs=[_paragraph(paragraph) for paragraph in paragraphs],
    )


def _paragraph(sentences: Sequence[Sentence]) -> ParagraphFields:
    return ParagraphFields(
        sentences=[_sentence(sentence) for sentence in sentences],
        speaker=number_of(sentences[0][0].speaker),
        num_words=sum(1 for sentence in sentences for word in sentence if normalize(word.text)),
        start=seconds(sentences[0][0].start),
        end=seconds(sentences[-1][-1].end),
    )


def _sentence(words: Sentence) -> SentenceFields:
    return SentenceFields(text=_text(words), start=seconds(words[0].start), end=seconds(words[-1].end))


def _split_utterances(words: Words, gap: float) -> Iterator[Words]:
    """Split the words at pauses of at least `gap` seconds, and where the speaker changes."""
    run: list[Word] = []
    for word in words:
        if run and (seconds(word.start - run[-1].end) >= gap or word.speaker != run[-1].speaker):
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _text(words: Words) -> str:
    return join_words([word.text for word in words])
