"""Serve GET and POST /wav2vec2: one file, and its transcript in Vietnamese (docs/wav2vec2.md)."""
