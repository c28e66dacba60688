"""Durable live sessions: records, files, the writer thread and replay."""
