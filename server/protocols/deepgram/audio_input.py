"""Decode the bytes of a live client into clips, in the encoding of the URL or of a wav header."""

from hashlib import sha256

from audio.clip import Clip
from audio.codecs import Encoding
from audio.decoder import Decoder
from audio.errors import AudioError
from audio.wav_header import read_header
from server.errors import ClientError

CLOSE_UNDECODABLE = 1008
UNDECODABLE = "DATA-0000"


class DeepgramAudioInput:
    """Decode the audio of one live session.

    encoding: encoding of raw samples; None while it is not yet known from a wav header
    apart: number of channels that are kept apart; None to mix them
    """

    def __init__(self, encoding: Encoding | None, apart: int | None = None) -> None:
        self.encoding = encoding
        self._head = b""  # at most the longest header and one message
        self._decoder = Decoder(apart=apart)
        self._digest = sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes received so far, in hex."""
        return self._digest.hexdigest()

    def decode(self, data: bytes) -> Clip | None:
        """Return the samples that can be decoded by now; None if there are none.

        Raises ClientError, which ends the connection.
        """
        self._digest.update(data)
        try:
            if self.encoding is None:
                data = self._behind_the_header(data)
            return None if self.encoding is None else self._decoder.decode(data, self.encoding)
        except AudioError as error:
            message = (
                f"The audio cannot be decoded: {error}. Live audio is raw samples (encoding=…) or a WAV file."
            )
            raise ClientError(
                "invalid_audio", message, close=CLOSE_UNDECODABLE, reason=UNDECODABLE, param=error.param
            ) from None

    @property
    def has_pending_input(self) -> bool:
        """Whether samples of the last bytes are left for `continue_input`."""
        return self._decoder.has_pending

    def continue_input(self) -> Clip | None:
        """Return the next samples of the last bytes."""
        return self._decoder.continue_decoding()

    def drain(self) -> Clip | None:
        """Return the samples that the resampler still holds; a Finalize needs them."""
        return self._decoder.drain()

    def flush(self) -> Clip | None:
        """Return the last samples. An incomplete frame is dropped without an error: the stream ends."""
        return self._decoder.flush()

    def _behind_the_header(self, data: bytes) -> bytes:
        self._head += data
        found = read_header(self._head)
        if found is None:
            return b""
        self.encoding, start = found
        data, self._head = self._head[start:], b""
        return data
