"""What the input benchmarks share."""
