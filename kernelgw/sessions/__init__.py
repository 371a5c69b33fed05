"""One chat, one session: its kernel, its executions in order, its events."""
