"""Handle HTTP below the protocols: request checks, uploads, downloads, errors, server-sent events."""
