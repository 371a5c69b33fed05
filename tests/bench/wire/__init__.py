"""Clients that add as little as possible to what they measure."""
