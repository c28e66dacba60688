"""Save the configuration of a session as JSON for its journal, and restore it.

Option fields that another version of the server wrote and this one does not know are ignored; option fields
that are missing get their defaults.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from asr.hallucination_filter import FilterThresholds
from asr.recognizer import TranscriptionOptions
from audio.codecs import Encoding
from postprocessing.options import TextOptions
from server.protocols.native.session_config import OutputOptions, SessionConfig, with_tuples
from streaming.endpointing import AdaptiveSilence, EndpointPolicy, FixedSilence, ModelSilence
from streaming.options import SessionOptions
from vad.options import VadOptions

Made = TypeVar("Made")


def save_config(config: SessionConfig) -> dict[str, Any]:
    options = {each.name: getattr(config.options, each.name) for each in dataclasses.fields(SessionOptions)}
    parts = {name: dataclasses.asdict(options[name]) for name in ("vad", "asr", "turn", "guards", "text")}
    if isinstance(options["turn"], ModelSilence):
        parts["turn"]["mode"] = "model"
    encoding = config.encoding
    return {
        "options": options | parts,
        "events": sorted(config.events),
        "include_audio": config.include_audio,
        "diarize": config.diarize,
        "known_speakers": list(config.known_speakers),
        "encoding": [encoding.format, encoding.sample_rate, encoding.channels],
    }


def restore_config(saved: Mapping[str, Any]) -> SessionConfig:
    """Restore what `save_config` returned. Raises KeyError, TypeError, ValueError for anything else."""
    given = saved["options"]
    asr = given["asr"]
    options = _made(
        SessionOptions,
        {
            **given,
            "vad": _made(VadOptions, given["vad"]),
            "asr": _made(TranscriptionOptions, with_tuples(asr)),
            "turn": _turn(given["turn"]),
            "guards": _made(FilterThresholds, given["guards"]),
            # An older server wrote none.
            "text": _made(TextOptions, with_tuples(given.get("text", {}))),
        },
    )
    return SessionConfig(
        options,
        frozenset(saved["events"]),
        saved["include_audio"],
        Encoding(*saved["encoding"]),
        saved.get("diarize", False),
        tuple(saved.get("known_speakers", ())),
    )


def save_outputs(captured: Mapping[int, OutputOptions]) -> dict[str, list[bool]]:
    """Return the options of utterances whose finals are still to come, by the number of the utterance."""
    return {str(number): list(dataclasses.astuple(options)) for number, options in captured.items()}


def restore_outputs(saved: Mapping[str, Sequence[bool]]) -> dict[int, OutputOptions]:
    """Restore what `save_outputs` returned. Raises TypeError and ValueError for anything else."""
    return {int(number): OutputOptions(*options) for number, options in saved.items()}


def _turn(given: Mapping[str, Any]) -> EndpointPolicy:
    if not given:
        return FixedSilence()
    return _made(ModelSilence, given) if given.get("mode") == "model" else _made(AdaptiveSilence, given)


def _made(kind: type[Made], given: Mapping[str, Any]) -> Made:
    names = {each.name for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in given.items() if name in names})
