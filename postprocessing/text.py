"""Apply the options of a client to a hypothesis."""

from typing import Final

from asr.recognizer import Hypothesis
from postprocessing.edits import edited
from postprocessing.numerals import numerals
from postprocessing.options import TextOptions
from postprocessing.profanity import profanity
from postprocessing.redaction import redacted_spans
from postprocessing.replacements import replaced_terms

NUMERALS_LANGUAGES: Final = ("en", None)  # None: the model does not say


def processed(hypothesis: Hypothesis, options: TextOptions) -> Hypothesis:
    """Return the hypothesis with its text changed as the client wants; its words still make up its text.

    Redaction is the last step, so that nothing before it can bring a text back.
    """
    if not hypothesis.text or not options.changes_text:
        return hypothesis
    if options.numerals and hypothesis.language in NUMERALS_LANGUAGES:
        hypothesis = edited(hypothesis, numerals(hypothesis.text))
    if options.replacements:
        hypothesis = edited(hypothesis, replaced_terms(hypothesis.text, options.replacements))
    if options.profanity_filter:
        hypothesis = edited(hypothesis, profanity(hypothesis.text))
    if options.redact:
        hypothesis = edited(hypothesis, redacted_spans(hypothesis.text, options.redact))
    return hypothesis
