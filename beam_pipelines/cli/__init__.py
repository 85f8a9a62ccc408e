"""What all commands share: running them, their progress line, their signals."""
