"""Fetch files from addresses that clients give, without reaching what clients may not (docs/security.md)."""
