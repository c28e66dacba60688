"""Query: what the URL of a connection says of its session."""

import re
from typing import Any


def session_from_query(query: dict[str, str]) -> dict[str, Any]:
    """What the URL says of the session, in the form of `session.update`.

    events ("all", or names with commas), language, prompt, hotwords (with commas), task, temperature, format,
    sample_rate, channels, include_audio, words.
    A number or a truth value that is none stays a string, for the session object's own check to refuse.
    """
    session: dict[str, Any] = {
        name: query[name] for name in ("language", "prompt", "task", "format") if name in query
    }
    if "events" in query:
        session["events"] = "all" if query["events"] == "all" else query["events"].split(",")
    if "hotwords" in query:
        session["hotwords"] = [word.strip() for word in query["hotwords"].split(",") if word.strip()]
    if "temperature" in query:
        number = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})?", query["temperature"])
        session["temperature"] = float(query["temperature"]) if number else query["temperature"]
    for name in ("sample_rate", "channels"):
        if name in query:
            number = re.fullmatch("[0-9]{1,9}", query[name])
            session[name] = int(query[name]) if number else query[name]
    for name in ("include_audio", "words"):
        if name in query:
            session[name] = {"true": True, "1": True, "false": False, "0": False}.get(
                query[name], query[name]
            )
    return session
