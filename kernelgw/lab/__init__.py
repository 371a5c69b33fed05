"""`kernelgw lab`: `command.py` starts JupyterLab at the gateway's chats, the rest runs inside Lab's own server."""
