"""One kernel as the gateway sees it: its sockets, its fork server, and why it ended."""
