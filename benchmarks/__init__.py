"""Benchmarks of Routilux and its peers: `python -m benchmarks --help`. What each measures: benchmarks/README.md."""
