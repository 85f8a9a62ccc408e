"""What the benchmarks of input share."""
