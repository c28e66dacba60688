"""Metrics, logs, traces and the timing of sessions."""
