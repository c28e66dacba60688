"""Authentication: API keys, short-lived tokens, and the middleware that checks them."""
