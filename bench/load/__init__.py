"""Benchmarks of latency, throughput and memory under load, and the load generator that they use."""
