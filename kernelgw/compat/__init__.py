"""Doors of other systems, served by the same sessions."""
