"""Admission: which streams may start, quotas, rate limits and load shedding."""
