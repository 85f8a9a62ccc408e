"""Recording files: which belong to which cell, how each format is read, what is rejected and why."""
