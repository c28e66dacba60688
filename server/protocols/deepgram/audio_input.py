"""ListenSound: a live client's bytes as clips, in the encoding of the URL or of the wav that they are."""

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
    """encoding: of bare samples; None where a header will say it, and until it has said it."""

    def __init__(self, encoding: Encoding | None) -> None:
        self.encoding = encoding
        self._head = b""  # bounded by what a header may take, and one message
        self._decoder = Decoder()
        self._digest = sha256()

    @property
    def sha256(self) -> str:
        """Of all bytes so far, in hex."""
        return self._digest.hexdigest()

    def decode(self, data: bytes) -> Clip | None:
        """The samples that are certain by now. Raises ClientError, which ends the connection."""
        self._digest.update(data)
        try:
            if self.encoding is None:
                data = self._behind_the_header(data)
            return None if self.encoding is None else self._decoder.decode(data, self.encoding)
        except AudioError as error:
            message = f"The sound cannot be decoded: {error}. Live, it is bare samples (encoding=…) or a wav."
            raise ClientError(
                "invalid_audio", message, close=CLOSE_UNDECODABLE, reason=UNDECODABLE, param=error.param
            ) from None

    @property
    def has_pending_input(self) -> bool:
        """Whether samples of the last bytes are left."""
        return self._decoder.has_more

    def continue_input(self) -> Clip | None:
        """Return the next samples of the last bytes."""
        return self._decoder.go_on()

    def drain(self) -> Clip | None:
        """What the resampler still holds, for a Finalize."""
        return self._decoder.drain()

    def flush(self) -> Clip | None:
        """The last samples. The stub of a frame is dropped: there is nobody left to be told of it."""
        return self._decoder.flush()

    def _behind_the_header(self, data: bytes) -> bytes:
        self._head += data
        found = read_header(self._head)
        if found is None:
            return b""
        self.encoding, start = found
        data, self._head = self._head[start:], b""
        return data
