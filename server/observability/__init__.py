"""Provide metrics, logs, traces and the timing of sessions."""
