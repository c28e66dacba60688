"""Many coroutines, one model; knows nothing about speech."""
