"""Runs a chat's code in forked, sandboxed Jupyter kernels and streams back what they say."""

__version__ = "0.1.0"
