"""Other libraries with the same workloads: one script each, run in an environment of its own."""
