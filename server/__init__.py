"""Serve clients over WebSocket and HTTP."""
