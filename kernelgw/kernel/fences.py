"""What holds sessions on this machine: found out by trying, once, when the gateway starts."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..egress.names import BadName, canonical, is_address
from ..egress.rules import BadRule, Rules
from ..egress.service import EgressService
from ..errors import IsolationUnavailable
from ..sandbox import bubblewrap, gvisor, seccomp, workspaces
from ..sandbox.cgroups import Cgroups
from ..sandbox.gvisor import Gvisor
from ..sandbox.identity import Identities
from ..sandbox.workspaces import Workspaces
from ..settings import BadSetting, Settings

STARTS = ("fork", "exec")
NETWORKS = ("packages", "allow", "full")


@dataclass(frozen=True)
class Fences:
    """`bwrap` is bubblewrap's path. Without it and without `gvisor` nothing is isolated, which only the operator can
    ask for."""

    bwrap: str | None
    cgroups: Cgroups
    workspaces: Workspaces
    egress: EgressService
    start: str = "fork"
    package_hosts: tuple[str, ...] = ()
    gvisor: Gvisor | None = None

    @property
    def sandboxed(self) -> bool:
        return self.bwrap is not None or self.gvisor is not None


def raise_fences(settings: Settings) -> Fences:
    """Raises IsolationUnavailable: `auto` takes the strongest there is, and never none instead of a sandbox."""
    inside = settings.isolation == "gvisor"
    bwrap = None if inside else choose_isolation(settings.isolation)
    if unknown := set(settings.networks) - set(NETWORKS):
        raise BadSetting(f"networks cannot have {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    if settings.start not in STARTS:
        raise IsolationUnavailable(f"Kernels cannot start by {settings.start!r}.", "Use fork or exec.")
    identities = Identities(settings.uid_first, settings.uid_count)
    sandboxed = bwrap is not None or inside
    if not sandboxed:
        identities.enabled = False
    settings.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder = settings.data_dir / "workspaces"
    cgroups = Cgroups.detect(_own_name(settings.data_dir), settings.cgroups)
    return Fences(
        bwrap,
        cgroups,
        workspaces.choose(folder, identities, settings.workspaces if sandboxed else "directory"),
        _egress(settings, identities),
        # Nothing can be forked into another kernel.
        "exec" if inside else settings.start,
        settings.package_hosts,
        gvisor.choose(settings.uid_count, cgroups) if inside else None,
    )


def _egress(settings: Settings, identities: Identities) -> EgressService:
    # The first uid after those of the sessions is the proxy's.
    uid = settings.uid_first + settings.uid_count if identities.enabled else None
    names = _names(settings.allowed_hosts)
    try:
        Rules.parse((), settings.package_hosts)
        return EgressService(uid, [settings.port], names, settings.network_private, settings.network_upstream)
    except BadRule as error:
        raise BadSetting(f"of package_hosts, network_private, network_upstream: {error}") from None


def _names(hosts: Iterable[str]) -> list[str]:
    """What the gateway itself is called, without what every machine is called."""
    found = []
    for host in hosts:
        with contextlib.suppress(BadName):
            found.append(canonical(host))
    return [name for name in found if name != "localhost" and not is_address(name)]


def _own_name(data_dir: Path) -> str:
    """The same at every start with one data directory, so that what an earlier gateway left is found."""
    return "kernelgw-" + hashlib.sha256(str(data_dir).encode()).hexdigest()[:10]


def choose_isolation(wanted: str) -> str | None:
    """bubblewrap's path for `auto` and `bubblewrap`, None for `none`. Raises IsolationUnavailable: `auto`
    never means none."""
    if wanted == "none":
        return None
    if wanted not in ("auto", "bubblewrap"):
        raise IsolationUnavailable(f"There is no isolation called {wanted!r}.", "Use auto, bubblewrap, gvisor or none.")
    seccomp.program()
    return bubblewrap.probe()
