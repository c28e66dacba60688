"""What a client of Deepgram's API is told of a file: one object. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from asr.recognizer import Word
from server.protocols.deepgram.live_output import ModelMetadata
from server.protocols.deepgram.options import DeepgramOptions
from server.protocols.deepgram.words import Fields, bare, seconds, shown, timed, together, words_fields
from transcripts.transcript import TranscriptSegment

PARAGRAPH_GAP: Final = 2.0  # seconds without a word that begin a new paragraph
MOST_SENTENCES: Final = 5  # of a paragraph
_ENDS: Final = (".", "?", "!", "\u3002", "\uff1f", "\uff01")

Words = Sequence[Word]


@dataclass(frozen=True, slots=True)
class FileResult:
    """sha256: of the body, in hex; created: as `timestamp` writes it; seconds: of sound in the file."""

    request_id: str
    sha256: str
    created: str
    seconds: float
    segments: Sequence[TranscriptSegment]


def answer_of(asked: DeepgramOptions, model: ModelMetadata, heard: FileResult) -> Fields:
    results: Fields = {"channels": [_channel(asked, heard)]}
    if asked.utterances:
        words = [word for each in heard.segments for word in _words(each)]
        results["utterances"] = [
            _utterance(asked, f"{heard.request_id}-{number}", run)
            for number, run in enumerate(_runs(words, asked.split))
        ]
    return {"metadata": _metadata(asked, model, heard), "results": results}


def _metadata(asked: DeepgramOptions, model: ModelMetadata, heard: FileResult) -> Fields:
    """ignored is not Deepgram's: which of the options the recognizer cannot honour."""
    metadata: Fields = {
        "transaction_key": "deprecated",
        "request_id": heard.request_id,
        "sha256": heard.sha256,
        "created": heard.created,
        "duration": round(heard.seconds, 3),
        "channels": 1,
        "models": [model.uuid],
        "model_info": {model.uuid: model.info},
    }
    if asked.tags:
        metadata["tags"] = asked.tags
    ignored = {name for each in heard.segments for name in each.hypothesis.ignored}
    return metadata | ({"ignored": sorted(ignored)} if ignored else {})


def _channel(asked: DeepgramOptions, heard: FileResult) -> Fields:
    parts = [_words(each) for each in heard.segments]
    words = [word for part in parts for word in part]
    text = " ".join(each.hypothesis.text for each in heard.segments)
    alternative: Fields = {
        "transcript": shown(text, asked.formatted),
        "confidence": _confidence(words),
        "words": words_fields(words, asked.formatted, asked.diarized),
    }
    if asked.paragraphs:
        alternative["paragraphs"] = _paragraphs([each for part in parts for each in _sentences(part)])
    channel: Fields = {"alternatives": [alternative]}
    language = _language(heard.segments)
    if asked.detects_language and language is not None:
        channel["detected_language"] = language
    return channel


def _words(segment: TranscriptSegment) -> Words:
    return timed(segment.hypothesis, segment.start, segment.end)


def _confidence(words: Words) -> float:
    return fmean(word.confidence or 0.0 for word in words) if words else 0.0


def _language(segments: Sequence[TranscriptSegment]) -> str | None:
    """In which most of the sound was spoken."""
    spoken: Counter[str] = Counter()
    for segment in segments:
        if segment.hypothesis.language:
            spoken[segment.hypothesis.language] += segment.end - segment.start
    return spoken.most_common(1)[0][0] if spoken else None


def _utterance(asked: DeepgramOptions, name: str, words: Words) -> Fields:
    utterance: Fields = {
        **_span(words),
        "confidence": _confidence(words),
        "channel": 0,
        "transcript": shown(_text(words), asked.formatted),
        "words": words_fields(words, asked.formatted, asked.diarized),
        "id": name,
    }
    return utterance | ({"speaker": 0} if asked.diarized else {})


def _paragraphs(sentences: Sequence[Words]) -> Fields:
    paragraphs = list(_grouped(sentences))
    texts = [" ".join(map(_text, paragraph)) for paragraph in paragraphs]
    return {
        "transcript": "".join(f"\n\n{text}" for text in texts).lstrip("\n"),
        "paragraphs": [_paragraph(paragraph) for paragraph in paragraphs],
    }


def _paragraph(sentences: Sequence[Words]) -> Fields:
    return {
        "sentences": [{"text": _text(sentence), **_span(sentence)} for sentence in sentences],
        "speaker": 0,
        "num_words": sum(1 for sentence in sentences for word in sentence if bare(word.text)),
        "start": seconds(sentences[0][0].start),
        "end": seconds(sentences[-1][-1].end),
    }


def _grouped(sentences: Sequence[Words]) -> Iterator[list[Words]]:
    group: list[Words] = []
    for sentence in sentences:
        full = len(group) == MOST_SENTENCES
        if group and (full or seconds(sentence[0].start - group[-1][-1].end) >= PARAGRAPH_GAP):
            yield group
            group = []
        group.append(sentence)
    if group:
        yield group


def _sentences(words: Words) -> Iterator[Words]:
    """Ended by a sign, or by the pause behind the words."""
    sentence: list[Word] = []
    for word in words:
        sentence.append(word)
        if word.text.endswith(_ENDS):
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _runs(words: Words, gap: float) -> Iterator[Words]:
    """Parted where no word is heard for `gap` seconds."""
    run: list[Word] = []
    for word in words:
        if run and seconds(word.start - run[-1].end) >= gap:
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _span(words: Words) -> Fields:
    return {"start": seconds(words[0].start), "end": seconds(words[-1].end)}


def _text(words: Words) -> str:
    return together([word.text for word in words])
