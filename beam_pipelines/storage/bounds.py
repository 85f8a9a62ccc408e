"""How much of a file is read into memory, whatever its size."""

# All that we write but recordings, shards and staged spikes is smaller; noise masks are the largest.
MOST_BYTES_OF_SMALL_FILE = 64 << 20
