"""Run WebSocket sessions of any wire protocol: admission, reading, sending and resuming."""
