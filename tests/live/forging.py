"""Code for a cell that speaks on its kernel's own sockets, past all that runs there: `send(channel, messages)`."""

from __future__ import annotations

FORGING = """
import json, os, socket, struct, time

def _socket(name):
    for fd in range(3, 256):
        try:
            found = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        with found:
            if found.family == socket.AF_UNIX and not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                if os.path.basename(os.fsdecode(found.getsockname())) == name:
                    return fd
    raise LookupError(name)

def this():
    return get_ipython().kernel.get_parent()["header"]["msg_id"]

def message(channel, kind, content, parent):
    parts = [b"topic"] if channel == "iopub" else []
    parts += [b"<IDS|MSG>", b"", json.dumps({"msg_id": "forged", "msg_type": kind}).encode()]
    parts += [json.dumps({"msg_id": parent}).encode(), b"{}", content if isinstance(content, bytes) else
              json.dumps(content, ensure_ascii=False).encode()]
    frames = [struct.pack(">BQ", 2 | (part is not parts[-1]), len(part)) + part for part in parts]
    return b"".join(frames)

def send(channel, data):
    fd = _socket(channel)
    while data:
        try:
            data = data[os.write(fd, data):]
        except BlockingIOError:
            time.sleep(0.001)
"""
