"""A fault in what takes in an answer ends the stream that it was for."""

from streaming.errors import StreamBroken, StreamError, fails_stream


class Divider:
    def __init__(self) -> None:
        self.quotient = 0.0
        self.failure: StreamError | None = None

    def fail(self, failure: StreamError) -> None:
        self.failure = failure

    @fails_stream
    def receive(self, dividend: int, divisor: int) -> None:
        """Divides."""
        self.quotient = dividend / divisor


def test_an_answer_is_taken_in_as_ever() -> None:
    divider = Divider()
    divider.receive(6, divisor=3)
    assert (divider.quotient, divider.failure) == (2.0, None)
    assert Divider.receive.__doc__ == "Divides."


def test_a_fault_is_told_with_its_cause_and_goes_no_further() -> None:
    divider = Divider()
    divider.receive(6, 0)
    assert isinstance(divider.failure, StreamBroken)
    assert isinstance(divider.failure.__cause__, ZeroDivisionError)
