"""What a session did: by page, by text, as a notebook, and for operators at the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from .client import JSON, House, Session, problem
from .gateway import MODULE, TOKEN

pytestmark = pytest.mark.live

SHOWN = """
import sys, pandas as pd, matplotlib.pyplot as plt
print('text'); print('warning', file=sys.stderr)
plt.plot([1, 2]); plt.show()
display({'application/vnd.vega.v5+json': {'marks': [1]}, 'text/plain': 'chart'}, raw=True)
pd.DataFrame({'a': [1]})
"""


def history(session: Session, **query: Any) -> JSON:
    response = session.client.get(f"{session.path}/history", params=query).raise_for_status()
    found: JSON = response.json()
    return found


def codes(found: JSON) -> list[str]:
    return [execution["code"] for execution in found["executions"]]


# Pages and texts -------------------------------------------------------------------------------------------------


def test_pages_from_the_newest_back(session: Session) -> None:
    for number in range(7):
        session.run(f"n = {number}")
    newest = history(session, limit=3)
    assert (codes(newest), newest["more"]) == (["n = 4", "n = 5", "n = 6"], True)
    middle = history(session, limit=3, before=newest["executions"][0]["id"])
    assert (codes(middle), middle["more"]) == (["n = 1", "n = 2", "n = 3"], True)
    oldest = history(session, limit=3, before=middle["executions"][0]["id"])
    assert (codes(oldest), oldest["more"]) == (["n = 0"], False)
    assert codes(history(session)) == [f"n = {number}" for number in range(7)]


def test_search(session: Session) -> None:
    session.run("print('Needle in output')")
    session.run("needle_in_code = 1")
    session.run("raise ValueError('a NEEDLE in an error')")
    session.run("display({'text/html': '<b>needle</b>'}, raw=True)")
    session.run("print('straw')")
    assert len(codes(history(session, search="needle"))) == 4
    found = history(session, search="needle", limit=1)
    assert (len(found["executions"]), found["more"]) == (1, True)
    assert codes(history(session, search="straw")) == ["print('straw')"]
    assert codes(history(session, search="hay")) == []


def test_a_page_before_what_is_not_there(session: Session) -> None:
    session.run("1")
    problem(session.client.get(f"{session.path}/history?before=none"), 404, "execution_not_found")
    problem(session.client.get(f"{session.path}/history?search={'x' * 1001}"), 400, "bad_request")


# The notebook ----------------------------------------------------------------------------------------------------


def notebook(session: Session) -> Any:
    response = session.client.get(f"{session.path}/notebook")
    assert response.headers["content-type"] == "application/x-ipynb+json"
    assert response.headers["content-disposition"] == f'attachment; filename="{session.id}.ipynb"'
    found = nbformat.reads(response.text, as_version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
    nbformat.validate(found)
    return found


def test_the_notebook_has_what_was_seen(session: Session) -> None:
    session.run(SHOWN)
    session.run("1/0")
    session.run("for n in range(3): print(n)")
    found = notebook(session)
    assert (found.nbformat, found.nbformat_minor) == (4, 5)
    assert [cell.source for cell in found.cells] == [SHOWN, "1/0", "for n in range(3): print(n)"]
    assert [cell.execution_count for cell in found.cells] == [1, 2, 3]
    kinds = [output.output_type for output in found.cells[0].outputs]
    assert kinds == ["stream", "stream", "display_data", "display_data", "execute_result"]
    picture, chart, table = found.cells[0].outputs[2:]
    assert picture.data["image/png"].startswith("iVBOR")
    assert chart.data["application/vnd.vega.v5+json"] == {"marks": [1]}
    assert "<table" in table.data["text/html"]
    assert [output.ename for output in found.cells[1].outputs] == ["ZeroDivisionError"]
    assert [output.text for output in found.cells[2].outputs] == ["0\n1\n2\n"]


def test_nbconvert_opens_it_with_outputs_in_place(session: Session, tmp_path: Path) -> None:
    """Also a picture that is so large that it stands outside its event."""
    session.run(SHOWN)
    session.run("import os\ndisplay({'image/png': os.urandom(2 << 20), 'text/plain': 'large'}, raw=True)")
    session.run("1/0")
    path = tmp_path / "chat.ipynb"
    path.write_bytes(session.client.get(f"{session.path}/notebook").raise_for_status().content)
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output", "chat.html", str(path)]
    environ = {**os.environ, "HOME": str(tmp_path), "JUPYTER_PLATFORM_DIRS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environ)
    assert result.returncode == 0, result.stderr
    html = (tmp_path / "chat.html").read_text()
    # One picture of a plot, and the large one.
    assert len(re.findall(r'<img[^>]{0,200}src="data:image/png;base64', html)) == 2
    assert len(html) > 2 << 20
    for shown in ("warning", "<table", "ZeroDivisionError", "plt.plot"):
        assert shown in html or shown in re.sub("<[^>]*>", "", html), shown


def test_the_notebook_says_how_a_cell_was_ended(session: Session) -> None:
    session.run("import os; os._exit(3)")
    session.run("while True: pass", timeout_s=0.5)
    found = notebook(session)
    died, stopped = (cell.outputs[-1] for cell in found.cells)
    assert (died.output_type, died.ename) == ("error", "KernelDied")
    assert "code 3" in died.evalue
    assert stopped.ename == "KeyboardInterrupt"
    assert [cell.metadata["kernelgw"]["status"] for cell in found.cells] == ["killed", "timed_out"]


def test_an_empty_session_is_an_empty_notebook(session: Session) -> None:
    session.create()
    assert notebook(session).cells == []


# Replay ----------------------------------------------------------------------------------------------------------


def replay(session: Session, **body: Any) -> JSON:
    response = session.client.post(f"{session.path}/replay", json=body)
    assert response.status_code == 200, response.text
    found: JSON = response.json()
    return found


def test_replay_says_what_differs(session: Session) -> None:
    session.run("import os, random; x = 1; print('same', object())")
    session.run("1/0")
    session.run("x += 1; x")
    session.run("print(random.random())")
    session.run("open('made', 'x').write(str(x))")
    found = replay(session)
    assert (found["same"], found["different"], found["session_id"]) == (3, 1, None)
    # The one that failed is not run again.
    assert [cell["same"] for cell in found["cells"]] == [True, True, False, True]
    (difference,) = found["cells"][2]["differences"]
    assert difference["output"] == 0
    assert difference["was"] != difference["is"]
    # The chat itself has gone on undisturbed, and nothing is left of the other.
    assert session.value("print(x, os.listdir())") == "2 ['made']\n"
    assert [each["id"] for each in session.client.get("/v1/sessions").json()["sessions"]] == [session.id]


def test_replay_finds_what_counted_on_what_is_no_more(session: Session) -> None:
    session.run("open('/workspace/data', 'w').write('1')")
    session.run("raise ValueError('after which the next one made do')")
    session.run("import os; os.remove('data')")
    session.run("y = 1")
    session.restart()
    session.run("'y' in dir()")
    found = replay(session, keep=True)
    last = found["cells"][-1]
    assert (last["same"], last["differences"]) == (False, [{"output": 0, "was": "False", "is": "True"}])
    again = Session(session.client, found["session_id"])
    assert again.value("print(y)") == "1\n"
    again.delete()


def test_replay_of_nothing(session: Session) -> None:
    session.create()
    assert replay(session) == {"session_id": None, "cells": [], "same": 0, "different": 0}


# For operators ---------------------------------------------------------------------------------------------------


def kernelgw(house: House, *arguments: str, status: int = 0) -> str:
    where = ["--url", house.gateway.url, "--token", TOKEN]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KERNELGW")}
    command = [*MODULE, "sessions", *arguments, *where]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environ)
    assert result.returncode == status, result.stderr
    return result.stdout if status == 0 else result.stderr


def test_operators_list_show_export_and_end(house: House, tmp_path: Path) -> None:
    session, other = house.session(), house.session()
    session.run("x = 1\nprint(x)")
    session.run("1/0")
    other.run("import os; os._exit(1)")
    table = kernelgw(house, "list").splitlines()
    assert table[0].split()[:3] == ["SESSION", "STATE", "IDLE"]
    rows = {line.split()[0]: line for line in table[1:]}
    assert " idle " in rows[session.id]
    assert " dead " in rows[other.id]
    assert "exited with code 1" in rows[other.id]
    assert {each["id"] for each in json.loads(kernelgw(house, "list", "--json"))} >= {session.id, other.id}
    shown = kernelgw(house, "show", session.id)
    assert f"id           {session.id}" in shown
    assert "x = 1\n" in shown
    assert "1/0  ZeroDivisionError: division by zero" in shown
    path = tmp_path / "chat.ipynb"
    kernelgw(house, "export", session.id, "-o", str(path))
    assert json.loads(kernelgw(house, "export", session.id)) == json.loads(path.read_text())
    nbformat.validate(nbformat.read(path, as_version=4))  # type: ignore[no-untyped-call]
    kernelgw(house, "end", session.id)
    assert "no session" in kernelgw(house, "show", session.id, status=1)


def test_operators_who_name_a_place_that_is_not_there(house: House) -> None:
    session = house.session()
    session.run("1")
    command = [*MODULE, "sessions", "export", session.id, "--url", house.gateway.url, "--token", TOKEN]
    result = subprocess.run([*command, "-o", "/nowhere/x.ipynb"], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (
        1,
        "kernelgw: /nowhere/x.ipynb cannot be written: No such file or directory.\n",
    )


def test_operators_without_a_gateway(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KERNELGW_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "kernelgw.cli", "sessions", "list"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environ)
    assert result.returncode == 1
    assert result.stderr == "kernelgw: No gateway runs here.\nkernelgw: Start one, or name another with --url.\n"
