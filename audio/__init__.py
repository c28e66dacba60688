"""Convert bytes and files of audio to 16 kHz mono float32 samples."""
