"""Authenticate clients by API keys and short-lived tokens."""
