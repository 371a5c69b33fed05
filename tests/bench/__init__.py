"""Measures kernelgw and stock peers in one run: `python -m tests.bench`. docs/performance.md explains the method."""
