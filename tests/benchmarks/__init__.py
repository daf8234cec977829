"""Benchmarks: ratios against the raw engine or a peer, taken in the same run. Not part of the test suite."""
