"""The training step, compiled for TPUs that are not here: the chips, the step, what the compiler says of it."""
