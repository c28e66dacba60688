"""Write summaries as the fields that several protocols share. Pure."""

from postprocessing.summary_types import Summary


def summary_fields(summary: Summary) -> dict[str, str]:
    """Return the text, who wrote it, and why not the configured model; what is unknown is left out."""
    optional = {"model": summary.model, "reason": summary.reason}
    given = {name: value for name, value in optional.items() if value is not None}
    return {"text": summary.text, "method": summary.method, **given}
