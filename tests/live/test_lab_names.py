"""`kernelgw lab`: a chat's notebook is at that chat, or at nothing; never at a kernel that is somebody else's."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from .client import House, Session
from .jupyter import kernel_of
from .lab import Lab

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture
def lab(shared_lab: Lab, house: House) -> Lab:
    """The `house` is left first, so that its proof holds while Lab is there."""
    return shared_lab


def opened(lab: Lab, path: str) -> httpx.Response:
    """As a page opens a notebook that it knows no session of."""
    wanted = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
    with lab.client() as client:
        return client.post("/api/sessions", json=wanted)


def test_a_chat_that_has_ended_starts_no_kernel_and_comes_back_as_itself(lab: Lab, house: House, chat: Session) -> None:
    entry = lab.entry(chat.id)
    assert entry is not None
    with lab.client() as client:
        # The page is closed, and its session with it.
        assert client.delete(f"/api/sessions/{entry['id']}").status_code == 204
    chat.delete()
    refused = opened(lab, entry["path"])
    assert refused.status_code == 500
    assert "has ended" in refused.json()["message"]
    assert house.client.get("/api/kernels").json() == []
    again = Session(house.client, chat.id)
    again.run("x = 'again'")
    found = lab.entry(chat.id)
    assert found is not None
    assert (found["path"], found["kernel"]["id"]) == (entry["path"], kernel_of(again))


def test_a_notebook_at_another_kernel_comes_back_to_a_chat_of_its_name(lab: Lab, house: House) -> None:
    name = house.session().id
    early = opened(lab, f"{name}.ipynb").json()["kernel"]["id"]
    chat = Session(house.client, name)
    chat.run("x = 1")
    found = [each for each in lab.get("/api/sessions") if each["path"] == f"{name}.ipynb"]
    assert [each["kernel"]["id"] for each in found] == [kernel_of(chat)]
    with lab.client() as client:
        assert client.delete(f"/api/kernels/{early}").status_code == 204


@pytest.mark.parametrize("form", ["/{0}", "./{0}", "{0}/"])
def test_a_path_is_the_same_however_it_is_written(lab: Lab, chat: Session, form: str) -> None:
    entry = lab.entry(chat.id)
    assert entry is not None
    with lab.client() as client:
        client.delete(f"/api/sessions/{entry['id']}")
    assert opened(lab, form.format(entry["path"])).json()["kernel"]["id"] == kernel_of(chat)


def test_a_notebook_that_was_renamed_is_the_chat_s_still(lab: Lab, chat: Session) -> None:
    entry = lab.entry(chat.id)
    assert entry is not None
    with lab.client() as client:
        assert client.patch(f"/api/contents/{entry['path']}", json={"path": "renamed.ipynb"}).status_code == 200
        client.delete(f"/api/sessions/{entry['id']}")
        assert opened(lab, "renamed.ipynb").json()["kernel"]["id"] == kernel_of(chat)
        paths = [each["path"] for each in lab.get("/api/sessions") if each["kernel"]["id"] == kernel_of(chat)]
        assert entry["path"] not in paths
        assert client.delete("/api/contents/renamed.ipynb").status_code == 204


def test_a_folder_by_the_name_of_a_chat_s_notebook_stays(lab: Lab, house: House) -> None:
    chat = house.session()
    Path(lab.folder, f"{chat.id}.ipynb").mkdir()
    chat.run("1")
    entry = lab.entry(chat.id)
    assert entry is not None
    assert (entry["path"], entry["kernel"]["id"]) == (f"{chat.id} (2).ipynb", kernel_of(chat))
