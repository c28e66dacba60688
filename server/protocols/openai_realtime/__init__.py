"""Serve OpenAI's Realtime transcription protocol at /v1/realtime (docs/realtime.md)."""
