"""HTTP plumbing: request checks, uploads, downloads, errors, server-sent events."""
