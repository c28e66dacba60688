"""Serve jobs over HTTP at /v1/jobs (docs/jobs.md)."""
