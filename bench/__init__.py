"""Benchmarks. Each is one command, prints its machine, inputs and settings, and ends in one line of JSON."""
