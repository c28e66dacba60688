"""Serve POST /api/stt and GET /api/stt/{key}: jobs for audio at a URL (docs/jobs.md)."""
