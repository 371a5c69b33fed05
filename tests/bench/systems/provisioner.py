"""A stock kernel manager whose kernelspec names our provisioner: no gateway, and all else as in `raw_handshake`."""

import json
import os
import uuid
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from kernelgw import environments, kernelspecs
from kernelgw.languages import DEFAULT
from kernelgw.provisioner.house import House
from tests.bench.systems.raw import OwnHandshake, RawSession

OF_ITS_OWN = "KERNELGW_DATA_DIR"


class Provisioned(OwnHandshake):
    name = "kernelgw_provisioner"
    title = "kernelgw, a provisioner of raw jupyter_client"

    def __init__(self) -> None:
        """It needs no environment of a peer's."""

    def start(self, folder: Path) -> None:
        spec = folder / "kernels" / "ours" / "kernel.json"
        spec.parent.mkdir(parents=True)
        spec.write_text(json.dumps(kernelspecs.spec(environments.find("default"), DEFAULT, {"environment": "default"})))
        self._specs = KernelSpecManager(kernel_dirs=[str(spec.parent.parent)])
        self._connections = folder / "connections"
        self._notebooks = folder / "notebooks"
        for each in (self._connections, self._notebooks):
            each.mkdir(mode=0o700)
        before = os.environ.get(OF_ITS_OWN)
        os.environ[OF_ITS_OWN] = str(folder / "data")
        self._house = House.here()
        if before is None:
            del os.environ[OF_ITS_OWN]
        else:
            os.environ[OF_ITS_OWN] = before

    def open(self) -> RawSession:
        file = self._connections / f"{uuid.uuid4().hex}.json"
        manager = KernelManager(kernel_name="ours", kernel_spec_manager=self._specs, connection_file=str(file))
        manager.start_kernel(cwd=str(self._notebooks))
        client = manager.client()
        client.start_channels()
        self.wait(client)
        return RawSession(manager, client)

    def stop(self) -> None:
        self._house.close()
