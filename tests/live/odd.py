"""A kernel of nobody's with all the habits that kernels of others have, so that each can be asked for by itself.

It is given to its interpreter as text: inside a sandbox there is no such file. Cells are words: what to do, and with
what.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PROGRAM = r"""
import hashlib, hmac, json, os, signal, sys, time, uuid
import zmq

if os.environ.get("ODD_FAILS"):
    sys.exit(os.environ["ODD_FAILS"])
if os.environ.get("ODD_SLEEPS"):
    print("still thinking", file=sys.stderr, flush=True)
    time.sleep(float(os.environ["ODD_SLEEPS"]))
info = json.load(open(sys.argv[1]))
context = zmq.Context()
sockets = {}
for name, kind in (("shell", zmq.ROUTER), ("control", zmq.ROUTER), ("stdin", zmq.ROUTER), ("iopub", zmq.XPUB)):
    sockets[name] = context.socket(kind)
    if name == "iopub":
        # It loses nothing itself, so whatever is missing was lost by others.
        sockets[name].setsockopt(zmq.XPUB_NODROP, 1)
    if name != "stdin":
        sockets[name].bind("tcp://%s:%d" % (info["ip"], info[name + "_port"]))
parent, idents, count, aborting = None, [], 0, 0.0


def send(channel, kind, content, parent=None, idents=(), buffers=()):
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "session": "odd", "username": "", "version": "5.3"}
    parts = [json.dumps(part).encode() for part in (header, parent, {"odd": True} if buffers else {}, content)]
    mac = hmac.new(info["key"].encode(), digestmod=hashlib.sha256)
    for part in parts:
        mac.update(part)
    sockets[channel].send_multipart([*idents, b"<IDS|MSG>", mac.hexdigest().encode(), *parts, *buffers])


def hear(channel):
    frames = sockets[channel].recv_multipart()
    at = frames.index(b"<IDS|MSG>")
    header, _, metadata, content = (json.loads(part) for part in frames[at + 2:at + 6])
    return frames[:at], header, content, frames[at + 6:]


def tell(kind, content, of=..., buffers=()):
    send("iopub", kind, content, parent if of is ... else of, [b"topic"], buffers)


def say(text, name="stdout", of=...):
    tell("stream", {"name": name, "text": text}, of)


def ask(prompt):
    send("stdin", "input_request", {"prompt": prompt, "password": False}, parent, idents)
    return hear("stdin")[2]["value"]


def run(code):
    global aborting
    ok = {"status": "ok", "execution_count": count, "user_expressions": {}, "payload": []}
    word, _, rest = code.partition(" ")
    if word == "say":
        say(rest)
    elif word == "orphan":
        say(rest, of=None)
    elif word == "unsigned":
        header, content = {"msg_id": "1", "msg_type": "stream"}, {"name": "stdout", "text": "forged"}
        forged = [json.dumps(part).encode() for part in (header, parent, {}, content)]
        sockets["iopub"].send_multipart([b"topic", b"<IDS|MSG>", b"0" * 64, *forged])
    elif word == "flood":
        for number in range(int(rest)):
            say("%d\n" % number)
    elif word == "large":
        say("x" * int(rest) + "\n")
        tell("execute_result", {"data": {"text/plain": "end"}, "metadata": {}, "execution_count": count})
    elif word == "colour":
        tell("execute_result", {"data": {"text/plain": "\x1b[33m42\x1b[0m"}, "metadata": {}, "execution_count": count})
    elif word == "raw":
        say(rest, "stdout")
        os.write(1, b"written\n")
        os.write(2, b"complained\n")
    elif word == "widget":
        content = {"comm_id": "c", "target_name": "t", "data": {"n": [1, 2.5, None]}}
        tell("comm_open", content, buffers=[b"\x00\xff", b"two"])
    elif word == "ask":
        say("you said %r\n" % ask("name? "))
    elif word == "read":
        while (line := ask("")) != "\x04":
            say("<%s>" % line)
    elif word == "class":
        tell("error", {"ename": "<class 'odd.Strange'>", "evalue": rest, "traceback": ["at odd"]})
        return {"status": "error"}
    elif word == "nameless":
        say("TypeError: it is odd\n", "stderr")
        aborting = time.monotonic() + 0.3
        return {"status": "error"}
    elif word == "die":
        number, _, why = rest.partition(" ")
        print(why, file=sys.stderr, flush=True)
        os._exit(int(number))
    elif word == "kill":
        os.kill(os.getpid(), int(rest))
    elif word == "where":
        say("%s %s %s" % (os.getcwd(), os.environ.get("ODD"), info["shell_port"]))
    elif word == "run":
        exec(rest, {"say": say, "os": os, "info": info})
    elif word == "loop":
        say("looping\n")
        while True:
            try:
                if sockets["control"].poll(50):
                    back, header, _, _ = hear("control")
                    send("control", "interrupt_reply", {"status": "ok"}, header, back)
                    return {"status": "error", "ename": "Stopped", "evalue": "by message", "traceback": []}
            except KeyboardInterrupt:
                return {"status": "error", "ename": "Stopped", "evalue": "by signal", "traceback": []}
    return ok


def serve():
    global parent, idents, count
    idents, header, content, buffers = hear("shell")
    kind = header["msg_type"]
    parent = {"msg_id": header["msg_id"]}
    reply = {"status": "ok"}
    quiet = kind == "execute_request" and content["code"] in ("noidle", "late")
    tell("status", {"execution_state": "busy"})
    if kind == "kernel_info_request":
        language = {"name": "odd", "version": "1", "mimetype": "text/odd", "file_extension": ".odd"}
        reply |= {"implementation": "odd", "language_info": language, "banner": "Odd", "protocol_version": "5.3",
                  "implementation_version": "1", "supported_features": ["kernel subshells", "debugger", "odd"]}
    elif kind == "complete_request":
        reply |= {"matches": ["oddly"], "cursor_start": 0, "cursor_end": 3, "metadata": {}}
    elif kind == "comm_msg":
        tell("comm_msg", {"comm_id": "c", "data": {"got": content["data"], "bytes": [len(each) for each in buffers]}})
    elif kind == "execute_request" and time.monotonic() < aborting:
        reply = {"status": "aborted"}
    elif kind == "execute_request":
        count += 1
        reply = run(content["code"])
    if kind == "execute_request" and content["code"] == "noreply":
        pass
    elif not kind.startswith("comm_"):
        send("shell", kind.replace("request", "reply"), reply, header, idents)
    if kind == "execute_request" and content["code"] == "late":
        time.sleep(0.3)
        say("after the reply\n")
    if not quiet or content["code"] == "late":
        tell("status", {"execution_state": "idle"})


serve()
# It is asked by then, and does not listen yet.
time.sleep(0.2)
sockets["stdin"].bind("tcp://%s:%d" % (info["ip"], info["stdin_port"]))
while True:
    try:
        serve()
    except KeyboardInterrupt:
        pass
"""


def declare(data_dir: Path, name: str, **further: Any) -> Path:
    """A kernelspec of the operator's."""
    folder = data_dir / "kernelspecs" / name
    folder.mkdir(parents=True)
    argv = ["python", "-I", "-c", PROGRAM, "{connection_file}"]
    spec = {"argv": argv, "display_name": f"Odd ({name})", "language": "odd", **further}
    (folder / "kernel.json").write_text(json.dumps(spec))
    return folder
