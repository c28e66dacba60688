"""Define the errors of loading a recognition model."""


class AsrError(Exception):
    """Base of the errors of this package; the message is for the person who chose the model."""


class UnsupportedModel(AsrError):
    """The files of the model exist, but no model family here supports it."""


class ModelUnavailable(AsrError):
    """The files of the model are in no folder, not in the cache, and cannot be downloaded from the hub."""
