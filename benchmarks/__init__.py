"""Benchmarks that compare throughput with peers in one run: ``python -m benchmarks.NAME``."""
