"""An extractive summary holds the sentences that say most, in their order."""

from hypothesis import given
from hypothesis import strategies as st

from postprocessing.extractive import MAX_SENTENCE_CHARS, MAX_SENTENCES, extractive_summary

TALK = [
    "Welcome to the meeting. The budget of the harbour project is too small.",
    "Yes. I had eggs for breakfast.",
    "The harbour project needs a larger budget, because steel became expensive. Steel prices doubled.",
    "It rained on Monday. Mr. Smith will ask the council for a larger harbour budget.",
]


def test_summary_has_what_is_said_most() -> None:
    summary = extractive_summary(TALK)
    assert "harbour" in summary
    assert "budget" in summary
    assert "eggs" not in summary
    assert "Yes." not in summary


def test_sentences_keep_their_order_and_words() -> None:
    summary = extractive_summary(TALK)
    places = [" ".join(TALK).find(sentence) for sentence in summary.split(". ")]
    assert places == sorted(places)
    assert -1 not in places


def test_title_does_not_end_a_sentence() -> None:
    assert extractive_summary(["Mr. Smith came."]) == "Mr. Smith came."


def test_japanese_is_summarized() -> None:
    summary = extractive_summary(
        ["予算の会議です。港の予算が足りません。卵を食べました。港の予算を増やします。"]
    )
    assert summary in ("港の予算が足りません。", "港の予算を増やします。")


def test_no_text_has_no_summary() -> None:
    assert extractive_summary([]) == ""
    assert extractive_summary(["", " "]) == ""


def test_long_text_without_punctuation_is_cut() -> None:
    assert len(extractive_summary(["budget and harbour " * 500])) <= MAX_SENTENCE_CHARS + 2


@given(st.lists(st.text(st.sampled_from("abcdefgh .?!"), max_size=60), max_size=60))
def test_any_text_has_a_bounded_summary_of_its_own_sentences(texts: list[str]) -> None:
    summary = extractive_summary(texts)
    assert len(summary) <= MAX_SENTENCES * (MAX_SENTENCE_CHARS + 3)
    whole = " ".join(" ".join(texts).split())
    assert all(word in whole.split() for word in summary.split())
