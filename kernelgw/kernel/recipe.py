"""What a kernel is made with: its sandbox, its limits, its variables. Pure functions."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..egress.packages import Packages
from ..environments import Environment
from ..sandbox import bubblewrap, seccomp
from ..sandbox.cgroups import Group
from ..sandbox.policy import HOME, KERNELS, WORKSPACE, WRITABLE, Limits, Policy
from ..sandbox.workspaces import Workspace
from .forkserver import kernels_folder

# Where `pip install` in a cell puts things: the environment itself is everybody's, and cannot be written.
Files = tuple[tuple[str, str], ...]
PACKAGES = f"{WORKSPACE}/.packages"
# The system's own bundle in place of those that come with packages: a network that looks into TLS has its CA there.
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "npm_config_cafile")
PROXY = "http://127.0.0.1:3128"
# Together these may hold no more than half of a session's memory, since that is what they are made of.
HOME_SHARE, SHM_SHARE = 8, 8
HOME_BYTES = SHM_BYTES = 256 << 20


def policy(
    environment: Environment, workspace: Workspace, etc: Path, limits: Limits, start: str, files: Files = ()
) -> Policy:
    extra = [(path, str(path)) for path in interpreter_of(environment)]
    extra += [(workspace.path / name, f"{WORKSPACE}/{name}") for name in workspace.read_only]
    if start == "exec":
        extra.append((kernels_folder(), KERNELS))
    return Policy(
        workspace.path,
        environment.prefix,
        etc,
        workspace.uid,
        tmp_bytes=limits.tmp_bytes,
        home_bytes=min(HOME_BYTES, limits.memory_bytes // HOME_SHARE),
        shm_bytes=min(SHM_BYTES, limits.memory_bytes // SHM_SHARE),
        image=workspace.image,
        read_only=tuple(extra),
        files=files,
    )


def package_files(source: Packages) -> Files:
    return (("/etc/pip.conf", source.pip_conf), ("/etc/npmrc", source.npmrc))


def sandbox(policy: Policy, bwrap: str) -> dict[str, Any]:
    """The fields of the fork server's `sandbox` request."""
    parts = bubblewrap.arguments(policy)
    return {
        "bwrap": bwrap,
        "args": parts.before,
        "binds": parts.binds,
        "finish": parts.finish,
        "files": [[text, path] for path, text in policy.files],
        "uid": policy.uid,
    }


def rlimits(limits: Limits, group: Group, sandboxed: bool) -> dict[str, int]:
    found = limits.as_rlimits(group.counts_memory)
    if sandboxed:
        # Counted for each sandbox by itself; without one, it would count all of the user's processes.
        found["nproc"] = limits.processes
    return found


def writable(sandboxed: bool) -> list[str]:
    return list(WRITABLE) if sandboxed else []


def further(workspace: Workspace, sandboxed: bool) -> str:
    """A second filter, in base64. In a folder of somebody's nothing is left that others would run as its owner."""
    return base64.b64encode(seccomp.without_marks()).decode() if workspace.lent and sandboxed else ""


def boot(
    environment: Environment,
    variables: dict[str, str],
    start: str,
    wiring: Mapping[str, Any],
    speaks: Mapping[str, Any],
) -> dict[str, Any]:
    """What the sealed child becomes. `wiring`: its channels, and how it is to speak on them;
    `speaks`: which language, see `languages.driver`."""
    boot: dict[str, Any] = {**speaks, "env": variables, **wiring}
    if start == "exec":
        argv = [str(environment.python), "-I", "-X", "frozen_modules=off", KERNELS]
        boot["exec"] = {"argv": argv, "env": variables, "kernel": True}
    return boot


def variables(environment: Environment, home: str, sandboxed: bool, network: str) -> dict[str, str]:
    """`home`: the workspace as the kernel sees it. `network`: off, packages, or on."""
    return {
        "PATH": f"{PACKAGES}/bin:{environment.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": HOME if sandboxed else home,
        "USER": "user",
        "LOGNAME": "user",
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "PAGER": "cat",
        # Programs that a cell starts write to a pipe, and would keep their output until they end.
        "PYTHONUNBUFFERED": "1",
        "GIT_PAGER": "cat",
        "VIRTUAL_ENV": str(environment.prefix),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": "/tmp/matplotlib" if sandboxed else f"{home}/.matplotlib",
        "PLOTLY_RENDERER": "plotly_mimetype",
        **({"NODE_OPTIONS": "--require /etc/node-networks.js"} if sandboxed else {}),
        **(_network(environment, network) if sandboxed else {}),
        **environment.variables,
    }


def _network(environment: Environment, network: str) -> dict[str, str]:
    # What is out of reach is said at once, rather than after a minute of retries; pip says why in its first.
    hasty = {} if network == "packages" else {"PIP_RETRIES": "1", "npm_config_fetch_retries": "0"}
    if network == "off":
        return {"KERNELGW_NETWORK": "off", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **hasty}
    local = "localhost,127.0.0.1,::1,0.0.0.0,127.0.1.1,127.0.0.0/8,sandbox"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), PROXY)
    return {
        "KERNELGW_NETWORK": network,
        **hasty,
        **proxies,
        **dict.fromkeys(CA_VARIABLES, CA_BUNDLE),
        "NO_PROXY": local,
        "no_proxy": local,
        "PIP_PREFIX": PACKAGES,
        "PYTHONPATH": f"{PACKAGES}/lib/{_python(environment)}/site-packages",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_WARN_SCRIPT_LOCATION": "0",
        "npm_config_globalconfig": "/etc/npmrc",
        "npm_config_prefix": PACKAGES,
        "npm_config_update_notifier": "false",
        "npm_config_fund": "false",
        "npm_config_audit": "false",
    }


def _python(environment: Environment) -> str:
    """python3.11 and the like, as its libraries' folder is called."""
    return next((path.name for path in (environment.prefix / "lib").glob("python3*")), "python3")


def interpreter_of(environment: Environment) -> tuple[Path, ...]:
    """Where the environment's interpreter really lives, unless that is part of /usr anyway."""
    config = (environment.prefix / "pyvenv.cfg").read_text()
    home = next((line.partition("=")[2].strip() for line in config.splitlines() if line.startswith("home")), "")
    prefix = Path(home).parent
    if not home or prefix.is_relative_to("/usr"):
        return ()
    return (prefix,)
