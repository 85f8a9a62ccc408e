"""What the build benchmarks share."""
