"""From scores to probabilities, verdicts and metrics; the plain result classes."""
