"""Start and stop the server, and report its health."""
