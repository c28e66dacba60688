"""Serve OpenAI's audio API for files at /v1/audio (docs/rest.md)."""
