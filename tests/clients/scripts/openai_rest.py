"""Call every REST method of the openai SDK, and print the results as one line of JSON.

Runs in the client's environment: nothing of ours can be imported. Arguments: the base URL, a wav.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import openai
from openai import AzureOpenAI, OpenAI

base_url, wav = sys.argv[1], Path(sys.argv[2])
client = OpenAI(base_url=base_url, api_key="none", max_retries=0)
transcriptions = client.audio.transcriptions


def plain(answer: Any) -> Any:
    return answer if isinstance(answer, str) else answer.model_dump()


def transcribe(**options: Any) -> Any:
    with wav.open("rb") as file:
        return plain(transcriptions.create(file=file, model="whisper-1", **options))


def azure(**options: Any) -> Any:
    endpoint = base_url.removesuffix("/v1")
    client = AzureOpenAI(azure_endpoint=endpoint, api_key="none", api_version="2024-10-21", **options)
    with wav.open("rb") as file:
        answer = client.audio.transcriptions.create(file=file, model="my-whisper")
    return {"text": answer.text, "models": [model.id for model in client.models.list()]}


def stream() -> dict[str, Any]:
    with wav.open("rb") as file:
        events = list(transcriptions.create(file=file, model="gpt-4o-transcribe", stream=True))
    return {"types": [type(event).__name__ for event in events], "events": [plain(each) for each in events]}


def error(ask: Any) -> dict[str, Any]:
    try:
        ask()
    except openai.APIStatusError as error:
        return {
            "kind": type(error).__name__,
            "status": error.status_code,
            "code": error.code,
            "param": error.param,
            "type": error.type,
            "request_id": error.request_id,
            "message": error.message,
        }
    raise AssertionError("it was not refused")


def main() -> dict[str, Any]:
    with wav.open("rb") as file:
        raw = transcriptions.with_raw_response.create(file=file, model="whisper-1")
    return {
        "version": openai.__version__,
        "json": plain(raw.parse()),
        "text": transcribe(response_format="text"),
        "srt": transcribe(response_format="srt"),
        "vtt": transcribe(response_format="vtt"),
        "verbose": transcribe(
            response_format="verbose_json", timestamp_granularities=["word", "segment"], language="en"
        ),
        "diarized": transcribe(response_format="diarized_json", chunking_strategy="auto"),
        "full": transcribe(
            prompt="before",
            temperature=0.0,
            include=["logprobs"],
            chunking_strategy={"type": "server_vad", "silence_duration_ms": 5000},
            extra_body={"keywords": ["river"], "languages": ["en"]},
        ),
        "translation": plain(
            client.audio.translations.create(file=("a.wav", wav.read_bytes()), model="whisper-1")
        ),
        "stream": stream(),
        "azure": azure(),
        "azure deployment": azure(azure_deployment="my-whisper"),
        "headers": dict(raw.headers),
        "models": [model.id for model in client.models.list()],
        "model": plain(client.models.retrieve("whisper-1")),
        "errors": {
            "speakers": error(
                lambda: transcribe(
                    response_format="diarized_json",
                    known_speaker_names=["Ann, my aunt"],
                    known_speaker_references=[
                        f"data:audio/wav;base64,{base64.b64encode(wav.read_bytes()).decode()}"
                    ],
                )
            ),
            "language": error(lambda: transcribe(language="xx")),
            "temperature": error(lambda: transcribe(temperature=2)),
            "file": error(lambda: transcriptions.create(file=("a.wav", b"text"), model="whisper-1")),
            "empty": error(lambda: transcriptions.create(file=("a.wav", b""), model="whisper-1")),
            "large": error(lambda: transcriptions.create(file=("a.wav", bytes(3 << 20)), model="whisper-1")),
            "model": error(lambda: client.models.retrieve("org/nobody")),
            "path": error(lambda: client.audio.speech.create(input="x", model="tts-1", voice="alloy")),
        },
    }


print(json.dumps(main()))
