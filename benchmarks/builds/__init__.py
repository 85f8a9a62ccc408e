"""What the benchmarks of building share."""
