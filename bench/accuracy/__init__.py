"""Benchmarks of word error rate, recognition speed and word times."""
