"""Serve Deepgram's listen API, live and for files, at /v1/listen (docs/deepgram.md)."""
