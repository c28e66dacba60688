"""GET /v1/models: the recognizers of this server as OpenAI lists models."""

import time
from typing import Final

from fastapi import APIRouter

from engine.engine import Engine
from server.errors import ApiError
from server.protocols.openai_audio.openapi import MODEL, MODELS

# Names that clients send by themselves, those of OpenAI's models; they mean the default.
ALIASES: Final = frozenset(
    {
        "whisper-1",
        "gpt-4o-transcribe",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-transcribe-2025-12-15",
        "gpt-4o-transcribe-diarize",
        "gpt-transcribe",
        "gpt-live-transcribe",
        "gpt-realtime-whisper",
    }
)
OWNER: Final = "stt-server"


def models_router(engine: Engine) -> APIRouter:
    router = APIRouter(prefix="/v1/models", tags=["models"])
    created = int(time.time())

    def told(name: str) -> dict[str, object]:
        return {"id": name, "object": "model", "created": created, "owned_by": OWNER, "shutdown_date": None}

    @router.get("", **MODELS)
    async def list_models() -> dict[str, object]:
        """The names by which recognizers may be asked for, the default first."""
        return {"object": "list", "data": [told(name) for name in engine.recognizers.names]}

    @router.get("/{model:path}", **MODEL)
    async def retrieve_model(model: str) -> dict[str, object]:
        """One of them, or a name of OpenAI's, which means the default."""
        if model not in ALIASES and engine.recognizers.resolve(model) is None:
            raise ApiError(404, f"The model '{model}' does not exist.", param="model", code="model_not_found")
        return told(model)

    return router
