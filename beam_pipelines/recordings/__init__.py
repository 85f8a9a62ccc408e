"""Files in: which belong to which cell, how each format is read, what is refused and why."""
