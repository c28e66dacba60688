"""Make documents and summaries of the JSON of a transcript: /v1/documents, /v1/summaries."""
