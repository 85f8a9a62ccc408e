"""Object stores for training: objects by URL, a bounded cache of shards, folders that are kept in a bucket."""
