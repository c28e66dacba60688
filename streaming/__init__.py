"""One live stream: the session without I/O, and the driver that connects it to the models."""
