"""Find where there is speech."""
