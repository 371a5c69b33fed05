"""The javascript kernel."""
