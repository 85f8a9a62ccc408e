"""Stand-ins and helpers that several test files share."""
