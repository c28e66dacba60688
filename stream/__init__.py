"""One live stream of speech, whoever asks for it."""
