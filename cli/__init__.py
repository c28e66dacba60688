"""Provide the command line for transcription, models and keys; `python -m cli --help` lists the commands."""
