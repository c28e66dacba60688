"""Transcribe one live stream: a session without I/O, and the driver that connects it to the models."""
