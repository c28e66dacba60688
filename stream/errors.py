"""What can end a stream from our side."""


class StreamError(Exception):
    """Root of everything this package raises."""


class DetectorFailed(StreamError):
    """The voice detector failed on this stream's audio; nothing more can be said about it."""


class StreamBroken(StreamError):
    """A fault of ours in the middle of this stream."""


class Overloaded(StreamError):
    """No place for one more stream, or no progress on this one's audio for too long."""


class Unread(Overloaded):
    """No more can be taken in, as its client has read its events too slowly for too long."""
