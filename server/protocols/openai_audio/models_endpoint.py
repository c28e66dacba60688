"""Serve /v1/models, which lists the recognizers in the format of OpenAI."""

import time
from typing import Final

from fastapi import APIRouter

from engine.engine import Engine
from server.errors import ApiError
from server.protocols.openai_audio.openapi import MODEL, MODELS

# Names of OpenAI's models, which clients send by default; they stand for the default recognizer.
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
    """Return the routes that list the models."""
    router = APIRouter(prefix="/v1/models", tags=["models"])
    created = int(time.time())

    def model_fields(name: str) -> dict[str, object]:
        """Return our additions with the fields of OpenAI; they are None until the model was loaded."""
        description = engine.recognizers.status(name).description
        return {
            "id": name,
            "object": "model",
            "created": created,
            "owned_by": OWNER,
            "shutdown_date": None,
            "punctuates": None if description is None else description.punctuates,
            "punctuation_model": None if description is None else description.punctuation_model,
        }

    @router.get("", **MODELS)
    async def list_models() -> dict[str, object]:
        """List the names of the recognizers, the default first."""
        return {"object": "list", "data": [model_fields(name) for name in engine.recognizers.names]}

    @router.get("/{model:path}", **MODEL)
    async def retrieve_model(model: str) -> dict[str, object]:
        """Return one recognizer; a name of OpenAI's models stands for the default."""
        if model not in ALIASES and engine.recognizers.resolve(model) is None:
            raise ApiError(404, f"The model '{model}' does not exist.", param="model", code="model_not_found")
        return model_fields(engine.recognizers.resolve(model) or engine.recognizers.default) | {"id": model}

    return router
