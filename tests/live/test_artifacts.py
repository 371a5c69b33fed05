"""What sessions make that is too large for an event, and the files that their cells make: kept, told, served."""

from __future__ import annotations

import hashlib

import pytest

from .client import JSON, Session

pytestmark = pytest.mark.live


def files(execution: JSON) -> dict[str, str]:
    return {entry["path"]: entry["change"] for entry in execution["files"]}


def test_a_picture_that_a_cell_wrote_can_be_had(session: Session) -> None:
    events = session.events("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('plot.png')\nplt.close()")
    told = [event for event in events if event.type == "artifact.created"]
    assert [event.data["name"] for event in told] == ["plot.png"]
    end = events[-1].data
    (file,), (artifact,) = end["files"], end["artifacts"]
    assert (file["path"], file["change"], file["artifact"]) == ("plot.png", "created", artifact)
    assert artifact.items() <= told[0].data.items()
    response = session.client.get(artifact["url"])
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-disposition"] == 'inline; filename="plot.png"'
    assert len(response.content) == artifact["size"] == file["size"]
    assert hashlib.sha256(response.content).hexdigest() == artifact["id"]
    assert response.content.startswith(b"\x89PNG")
    listed = session.client.get(f"{session.path}/artifacts").json()
    assert listed["artifacts"] == [{**artifact, "execution_id": end["id"]}]
