"""Test the list of models in the format of OpenAI."""

import pytest

from server.protocols.openai_audio.models_endpoint import ALIASES
from tests.server.live_server import Server


def test_the_list_has_the_models_of_the_server(server: Server) -> None:
    listed = server.get("/v1/models").json()
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert (model["id"], model["object"], model["shutdown_date"]) == ("free", "model", None)
    assert server.get("/v1/models/free").json() == model
    assert model["punctuates"] is False  # "w1 w2"


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_a_model_of_openai_is_known(server: Server, name: str) -> None:
    assert server.get(f"/v1/models/{name}").json()["id"] == name


@pytest.mark.parametrize("name", ["nobody", "org/model", "org%2Fmodel"])
def test_an_unknown_model_is_not_found(server: Server, name: str) -> None:
    answer = server.get(f"/v1/models/{name}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
