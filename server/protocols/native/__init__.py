"""The native WebSocket protocol at /ws/stt (docs/protocol.md)."""
