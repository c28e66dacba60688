"""Benchmarks of word error rate, timing of words and voice detection."""
