"""Turn the JSON of a transcript into subtitles and documents: /v1/documents."""
