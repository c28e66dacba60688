"""Run deepgram-sdk with live audio and with files, and print the results as one line of JSON.

Runs in the client's environment: nothing of ours can be imported. Arguments: host:port, a wav.
"""

import json
import sys
import threading
import wave
from array import array
from pathlib import Path
from typing import Any

from deepgram import DeepgramClient, DeepgramClientEnvironment
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from websockets.exceptions import InvalidStatus

host, wav = sys.argv[1], Path(sys.argv[2])
environment = DeepgramClientEnvironment(
    base=f"http://{host}", production=f"ws://{host}", agent=f"ws://{host}", agent_rest=f"http://{host}"
)
client = DeepgramClient(api_key="none", environment=environment)
transcribe_file = client.listen.v1.media.transcribe_file
CHUNK = 3200  # bytes: 100 ms


def live(**options: Any) -> dict[str, Any]:
    """Send half of the audio, a Finalize, and the rest after its reply."""
    with wave.open(str(wav)) as file:
        sound = file.readframes(file.getnframes())
    heard: list[Any] = []
    errors: list[str] = []
    ended = threading.Event()
    told = threading.Event()
    with client.listen.v1.connect(
        model="nova-3", language="en-US", encoding="linear16", sample_rate=16000, **options
    ) as socket:

        def on_message(message: Any) -> None:
            heard.append(message.model_dump() | {"kind": type(message).__name__})
            told.set()

        socket.on(EventType.MESSAGE, on_message)
        socket.on(EventType.ERROR, lambda error: errors.append(str(error)))
        socket.on(EventType.CLOSE, lambda _: ended.set())
        threading.Thread(target=socket.start_listening, daemon=True).start()
        cut = len(sound) // 2 // CHUNK * CHUNK
        for start in range(0, len(sound), CHUNK):
            if start == cut:
                told.clear()
                socket.send_finalize()
                while not any(each.get("from_finalize") for each in heard):
                    assert told.wait(60)
                    told.clear()
            socket.send_media(sound[start : start + CHUNK])
            ended.wait(0.1)  # in real time, so that interim results arrive
        socket.send_keep_alive()
        socket.send_finalize()
        socket.send_close_stream()
        assert ended.wait(60)
    return {"heard": heard, "errors": errors}


def channels() -> list[Any]:
    """Send the halves of the audio as two channels, and return what comes after."""
    with wave.open(str(wav)) as file:
        sound = array("h", file.readframes(file.getnframes()))
    half = len(sound) // 2
    frames = array(
        "h", [sample for frame in zip(sound[:half], sound[half:], strict=False) for sample in frame]
    )
    heard: list[Any] = []
    ended = threading.Event()
    with client.listen.v1.connect(
        model="nova-3", encoding="linear16", sample_rate=16000, channels=2, multichannel=True, vad_events=True
    ) as socket:
        socket.on(
            EventType.MESSAGE, lambda each: heard.append(each.model_dump() | {"kind": type(each).__name__})
        )
        socket.on(EventType.CLOSE, lambda _: ended.set())
        threading.Thread(target=socket.start_listening, daemon=True).start()
        socket.send_media(frames.tobytes())
        socket.send_close_stream()
        assert ended.wait(60)
    return heard


def error_of(call: Any) -> dict[str, Any]:
    try:
        call()
    except ApiError as error:
        return {"kind": type(error).__name__, "status": error.status_code, "body": error.body}
    except InvalidStatus as error:
        return {"status": error.response.status_code, "why": error.response.headers["dg-error"]}
    raise AssertionError("it was no error")


def connect_badly() -> None:
    with client.listen.v1.connect(model="nova-3", encoding="linear16"):
        pass


options: dict[str, Any] = {
    "smart_format": True,
    "utterances": True,
    "utt_split": 0.5,
    "diarize": True,
    "tag": ["t"],
}
print(
    json.dumps(
        {
            "live": live(interim_results=True, endpointing=300, utterance_end_ms=500, vad_events=True),
            "channels": channels(),
            "file": transcribe_file(request=wav.read_bytes(), model="nova-3", **options).model_dump(),
            "changed": transcribe_file(
                request=wav.read_bytes(), replace=["program:show"], redact="pci", summarize="v2"
            ).model_dump(),
            "projects": [each.model_dump() for each in client.manage.v1.projects.list().projects],
            "errors": {
                "url": error_of(lambda: client.listen.v1.media.transcribe_url(url="http://here/a.wav")),
                "text": error_of(lambda: transcribe_file(request=b"not sound")),
                "handshake": error_of(connect_badly),
            },
        },
        default=str,
    )
)
