"""Apply the options of a request to Whisper in the same way for each library that runs it."""

from collections.abc import Callable, Collection

from asr.recognizer import TranscriptionOptions


def prompt_tokens(
    encode: Callable[[str], list[int]], options: TranscriptionOptions, positions: int
) -> list[int]:
    """Return the tokens of the hotwords and of the end of the prompt.

    They take at most half of the context; the hotwords take at most a quarter.

    encode: returns the tokens of a text, without control tokens
    positions: of the decoder
    """
    limit = positions // 2 - 1
    hot = encode(", ".join(options.hotwords))[: limit // 2]
    before = encode(options.prompt or "")
    return [*hot, *before[max(0, len(before) - limit + len(hot)) :]]


def ignored_options(
    options: TranscriptionOptions, languages: Collection[str], *, has_times: bool, translates: bool
) -> tuple[str, ...]:
    """Return the names of the given options that a model does not support.

    has_times: whether it can align words with the audio
    """
    supported = {"prompt", "hotwords", "temperature"}
    if has_times:
        supported.add("words")
    if translates:
        supported.add("task")
    if options.language in languages:
        supported.add("language")
    if options.language is not None or not set(options.languages).isdisjoint(languages):
        supported.add("languages")
    return options.unsupported(supported)
