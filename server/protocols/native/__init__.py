"""Serve the native WebSocket protocol at /ws/stt (docs/protocol.md)."""
