"""Executors: where logic runs that is not a plain call on a worker thread. Found by name, never imported by the core."""
