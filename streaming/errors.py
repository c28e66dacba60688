"""Define the errors with which the server ends a stream."""


class StreamError(Exception):
    """Serve as the base class of all errors of this package."""


class DetectorFailed(StreamError):
    """The voice detector failed on the audio of this stream, which therefore cannot continue."""


class StreamBroken(StreamError):
    """An error of the server itself occurred in the middle of this stream."""


class Overloaded(StreamError):
    """The server cannot accept one more stream, or made no progress on this one for too long."""


class SpoolFull(Overloaded):
    """Too much audio of this stream waits for the models; what was received is still transcribed."""


class SpeakersUnavailable(StreamError):
    """The client wants to know who speaks, and the model for that cannot be used; the message says why."""


class EventsUnread(Overloaded):
    """The client has read its events too slowly for too long, so no more input is accepted."""
