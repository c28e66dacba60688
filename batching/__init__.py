"""Run the work of many callers on one model, in batches; knows nothing about speech."""
