"""The bash kernel."""
