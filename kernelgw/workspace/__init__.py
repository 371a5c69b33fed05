"""What stands in a session's workspace: files, so far."""
