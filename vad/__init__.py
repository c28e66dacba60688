"""Where is there speech."""
