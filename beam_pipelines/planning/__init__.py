"""Which spike goes into which example of which shard; splits; build options."""
