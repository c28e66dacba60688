"""Test the list of models in the format of OpenAI."""

import re
from pathlib import Path

import httpx
import pytest

from server.protocols.openai_audio.models_endpoint import ALIASES
from tests.postprocessing.test_punctuation import FULLSTOP
from tests.postprocessing.test_punctuation_model import xlm_roberta
from tests.server.live_server import ROOT, Client, Server, dones, first_sentence, free_settings, serve


def test_the_list_has_the_models_of_the_server(server: Server) -> None:
    listed = server.get("/v1/models").json()
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert (model["id"], model["object"], model["shutdown_date"]) == ("free", "model", None)
    assert server.get("/v1/models/free").json() == model
    assert (model["punctuates"], model["punctuation_model"]) == (False, None)  # "w1 w2"


def test_punctuation_is_restored_live_and_in_files_and_is_named(tmp_path: Path) -> None:
    folder = str(xlm_roberta(tmp_path, FULLSTOP, {"<unk>": "."}))
    with serve(free_settings(punctuation_model=folder)) as running:
        (model,) = running.get("/v1/models").json()["data"]
        assert (model["punctuates"], model["punctuation_model"]) == (True, folder)
        files = {"file": ("test.wav", (ROOT / "test.wav").read_bytes())}
        answer = httpx.post(
            f"{running.url}/v1/audio/transcriptions", files=files, data={"model": "x"}, timeout=60
        )
        assert re.fullmatch(r"(W\d+\. ?)+", answer.json()["text"])
        with Client(running.ws) as client:
            client.talk(first_sentence())
            (final,) = dones(client.end())
        assert re.fullmatch(r"(W\d+\. ?)+", final["transcript"])


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_a_model_of_openai_is_known(server: Server, name: str) -> None:
    assert server.get(f"/v1/models/{name}").json()["id"] == name


@pytest.mark.parametrize("name", ["nobody", "org/model", "org%2Fmodel"])
def test_an_unknown_model_is_not_found(server: Server, name: str) -> None:
    answer = server.get(f"/v1/models/{name}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
