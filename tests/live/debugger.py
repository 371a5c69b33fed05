"""A debugger as tests have it: DAP requests inside of Jupyter messages, as JupyterLab sends them."""

from __future__ import annotations

import itertools

from .jupyter import JSON, Client, Message


class Debugger:
    """Of one client. Whatever is asked must be answered."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._numbers = itertools.count(1)

    def send(self, command: str, **arguments: object) -> str:
        request = {"type": "request", "seq": next(self._numbers), "command": command, "arguments": arguments}
        return self.client.send("debug_request", request, "control")

    def ask(self, command: str, **arguments: object) -> JSON:
        """The answer's body, of one that went well."""
        _, reply = self.client.ended(self.send(command, **arguments))
        assert (reply.type, reply.channel) == ("debug_reply", "control")
        assert reply.content.get("success"), (command, reply.content)
        body: JSON = reply.content.get("body") or {}
        return body

    def attach(self) -> None:
        self.ask("initialize", clientID="tests", adapterID="python3", linesStartAt1=True, pathFormat="path")
        self.ask("attach")

    def break_at(self, code: str, *lines: int) -> str:
        """Breakpoints in a cell that is still to be run. Returns where the kernel has its code."""
        path = str(self.ask("dumpCell", code=code)["sourcePath"])
        wanted = [{"line": line} for line in lines]
        found = self.ask("setBreakpoints", source={"path": path}, breakpoints=wanted, sourceModified=False)
        assert [(each["verified"], each["line"]) for each in found["breakpoints"]] == [(True, line) for line in lines]
        self.ask("configurationDone")
        return path

    def stopped(self, since: int = 0) -> int:
        """Waits for a stop, of those that came after so many messages; the thread."""
        event = next(filter(is_stop, self.client.seen[since:]), None) or self.client.until(is_stop)
        return int(event.content["body"]["threadId"])

    def where(self, thread: int) -> JSON:
        frame: JSON = self.ask("stackTrace", threadId=thread)["stackFrames"][0]
        return frame

    def variables(self, frame: JSON) -> dict[str, str]:
        scopes = self.ask("scopes", frameId=frame["id"])["scopes"]
        found = self.ask("variables", variablesReference=scopes[0]["variablesReference"])
        return {each["name"]: each["value"] for each in found["variables"]}

    def go(self, command: str, thread: int) -> JSON:
        """On to the next stop; where that is."""
        before = len(self.client.seen)
        self.ask(command, threadId=thread)
        return self.where(self.stopped(before))


def is_stop(message: Message) -> bool:
    return message.type == "debug_event" and message.content.get("event") == "stopped"
