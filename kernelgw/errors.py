"""Everything that can go wrong for a caller, with what to do about it.

    GatewayError
    ├── Unauthorized          401  no token, or a wrong one
    ├── HostNotAllowed        421  a Host header that is not this gateway (DNS rebinding)
    ├── OriginNotAllowed      403  a browser page of somebody else
    ├── BadRequest            400  the request does not say what it should
    ├── BadPath               400  a name of a file that leads nowhere in a workspace
    ├── NothingToRun          400  no program: nothing, prose, data
    ├── BodyTooLarge          413
    ├── HeadTooLarge          431  the target and headers of a request
    ├── TooSlow               408  a request that did not come in within the time there is for it
    ├── TooManyTries          429  wrong tokens from one address; a right one is never refused for them
    ├── TooManyConnections    503  every place is taken by a caller with the token
    ├── UnknownLanguage       400
    ├── UnknownEnvironment    400
    ├── KernelSpecNotFound    404  the same, asked for as Jupyter does
    ├── NotAllowed            403  a key that is for less than this
    ├── KeyNotFound           404
    ├── TooManyKeys           409
    ├── SessionNotFound       404
    ├── ExecutionNotFound     404
    ├── ArtifactNotFound      404
    ├── KernelNotFound        404  a session's, by its name
    ├── TooManyKernels        409  in one session
    ├── NotWaitingForInput    409
    ├── FileNotWritten        409  something stands in its way, or there is no room
    ├── PausedInDebugger      409  a developer holds the session's kernel
    ├── QueueFull             429  too many executions wait in this session
    ├── NetworkNotAllowed     403  the operator does not let sessions have this much network
    ├── HouseFull             503  no room for another session now; Retry-After says when to ask again
    ├── DiskFull              507  the host's disk has no room for another session
    ├── StoreUnavailable      503  older executions cannot be read now; sessions go on
    ├── GatewayStopping       503  what was asked for goes on, and can be asked for again
    ├── KernelDidNotStart     503
    ├── EnvironmentNotBuilt   503
    └── IsolationUnavailable  503  the sandbox cannot be built here, and pretending is not an option

The API turns each into `{"error": {"code", "message", "hint", "details"}}`. Code that a session runs and that
raises is not here: that is data.
"""

from __future__ import annotations

from typing import Any, ClassVar

SAY_JSON = "Send the header Content-Type: application/json; with curl: -H 'Content-Type: application/json'."


class GatewayError(Exception):
    """`message` is one sentence for a person; `hint` is the next step."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    hint: str = "Look at the gateway's log; if it happens again, report it."

    def __init__(self, message: str, hint: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.hint
        self.details = details

    def as_json(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint, "details": self.details}}

    def as_jupyter(self) -> dict[str, Any]:
        """As Jupyter's clients read it, and ours beside it."""
        return {"message": self.message, "reason": self.hint, **self.as_json()}


class Unauthorized(GatewayError):
    code = "unauthorized"
    status = 401
    hint = "Send `Authorization: Bearer TOKEN`; the gateway prints its token when it starts."


class HostNotAllowed(GatewayError):
    code = "host_not_allowed"
    status = 421
    hint = "Call the gateway by an address it knows, or add the name with --allowed-hosts."


class OriginNotAllowed(GatewayError):
    code = "origin_not_allowed"
    status = 403
    hint = "Call from your own server, or add the page's origin with --allowed-origins."


class BadRequest(GatewayError):
    code = "bad_request"
    status = 400
    hint = "Compare the request with /docs."


class BadPath(GatewayError):
    code = "bad_path"
    status = 400
    hint = "Name files by paths like data/points.csv, relative to the workspace."


class NothingToRun(GatewayError):
    code = "nothing_to_run"
    status = 400
    hint = "Send a program, and with it its language when that cannot be seen."


class BodyTooLarge(GatewayError):
    code = "body_too_large"
    status = 413
    hint = "Send large data as workspace files, or raise --max-body-bytes."


class HeadTooLarge(GatewayError):
    code = "head_too_large"
    status = 431
    hint = "Send fewer or shorter headers, or raise --max-header-bytes."


class TooSlow(GatewayError):
    code = "too_slow"
    status = 408
    hint = "Send requests without pauses, or raise --head-timeout-s or --body-timeout-s."


class TooManyTries(GatewayError):
    code = "too_many_tries"
    status = 429
    hint = "Send the right token, which is let in at any time; the gateway prints it when it starts."


class TooManyConnections(GatewayError):
    code = "too_many_connections"
    status = 503
    hint = "Close connections that are not needed, or raise --max-connections."


class UnknownLanguage(GatewayError):
    code = "unknown_language"
    status = 400
    hint = "Use one of the languages named in details."


class UnknownEnvironment(GatewayError):
    code = "unknown_environment"
    status = 400
    hint = "Use one of the environments named in details, or declare a new one."


class KernelSpecNotFound(GatewayError):
    code = "kernel_spec_not_found"
    status = 404
    hint = "GET /api/kernelspecs lists those there are."


class NotAllowed(GatewayError):
    code = "not_allowed"
    status = 403
    hint = "Use the gateway's own token, or a key with the scope for it."


class KeyNotFound(GatewayError):
    code = "key_not_found"
    status = 404
    hint = "GET /v1/keys lists those there are."


class TooManyKeys(GatewayError):
    code = "too_many_keys"
    status = 409
    hint = "Revoke those that are not needed, or let new ones expire."


class SessionNotFound(GatewayError):
    code = "session_not_found"
    status = 404
    hint = "PUT /v1/sessions/{id} creates it; so does running code in it."


class ExecutionNotFound(GatewayError):
    code = "execution_not_found"
    status = 404
    hint = "GET /v1/sessions/{id}/history lists the executions that are kept."


class ArtifactNotFound(GatewayError):
    code = "artifact_not_found"
    status = 404
    hint = "GET /v1/sessions/{id}/artifacts lists those that there are."


class KernelNotFound(GatewayError):
    code = "kernel_not_found"
    status = 404
    hint = "GET /v1/sessions/{id}/kernels lists those there are; running code makes one."


class TooManyKernels(GatewayError):
    code = "too_many_kernels"
    status = 409
    hint = "DELETE /v1/sessions/{id}/kernels/{name} ends one that is not needed; --max-kernels allows more."


class NotWaitingForInput(GatewayError):
    code = "not_waiting_for_input"
    status = 409
    hint = 'Wait for the input.requested event; run with "stdin": true.'


class FileNotWritten(GatewayError):
    code = "file_not_written"
    status = 409
    hint = "Remove what is in the way, make room, or give the session a larger workspace_bytes."


class PausedInDebugger(GatewayError):
    code = "paused_in_debugger"
    status = 409
    hint = "Let it go on, or leave the debugger, there; POST …/interrupt stops what it holds, POST …/restart too."


class QueueFull(GatewayError):
    code = "queue_full"
    status = 429
    hint = "Wait for earlier executions to finish, or interrupt them."


class NetworkNotAllowed(GatewayError):
    code = "network_not_allowed"
    status = 403
    hint = "Ask for less, or let sessions have it with --networks."


class HouseFull(GatewayError):
    code = "house_full"
    status = 503
    hint = "Try again after the time in Retry-After, or end sessions that are not needed."


class DiskFull(GatewayError):
    code = "disk_full"
    status = 507
    hint = "End sessions, ask for a smaller workspace_bytes, or make room on the disk of the data directory."


class StoreUnavailable(GatewayError):
    code = "store_unavailable"
    status = 503
    hint = "Ask again a little later; what runs goes on, and is kept. The gateway's log says more."


class GatewayStopping(GatewayError):
    code = "gateway_stopping"
    status = 503
    hint = (
        "Ask for the execution by its id, or for its events after the last one seen, once the gateway is there again."
    )


class KernelDidNotStart(GatewayError):
    code = "kernel_did_not_start"
    status = 503
    hint = "Look at the fork server's log: run/ENVIRONMENT.log in the data directory."


class EnvironmentNotBuilt(GatewayError):
    code = "environment_not_built"
    status = 503
    hint = "Run `make setup`, or `python -m kernelgw.environments build NAME`."


class IsolationUnavailable(GatewayError):
    code = "isolation_unavailable"
    status = 503
    hint = "Install bubblewrap (`apt-get install bubblewrap`), or say `--isolation none` on a machine of your own."
