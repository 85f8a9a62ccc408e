"""What every command shares: how it is run, its progress line, its signals."""
