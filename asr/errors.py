"""What can be wrong with a model that was asked for."""


class AsrError(Exception):
    """Root of the errors of this room; the message is for whoever chose the model."""


class UnsupportedModel(AsrError):
    """The files are there, but no recognizer here can run such a model."""


class ModelUnavailable(AsrError):
    """The files are not there: neither a folder, nor in the cache, nor on the hub."""
