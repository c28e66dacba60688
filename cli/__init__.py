"""Command line over the engine and the keys: `python -m cli --help` lists the commands."""
