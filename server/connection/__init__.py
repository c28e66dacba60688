"""The generic WebSocket runtime: admission, reading, sending, resuming. It knows no wire protocol."""
