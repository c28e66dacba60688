"""Benchmarks of latency, throughput, memory and faults under load."""
