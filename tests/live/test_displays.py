"""Displays: what is shown, what replaces it, what is cleared."""

from __future__ import annotations

import base64
import json

import pytest

from .client import Session, displays, streamed, text, types

pytestmark = pytest.mark.live


def test_progress_bar(session: Session) -> None:
    code = """
from IPython.display import display, HTML
handle = display(HTML('<progress value=0>'), display_id=True)
for n in range(1, 51):
    handle.update(HTML(f'<progress value={n}>'))
"""
    events = session.events(code)
    assert types(events)[1:-1] == ["output.display"] + ["output.update"] * 50
    ids = {event.data["display_id"] for event in events if event.type in ("output.display", "output.update")}
    assert len(ids) == 1
    (bundle,) = displays(session.execution(events[-1].data["id"]))
    assert bundle["text/html"] == "<progress value=50>"


def test_update_reaches_an_earlier_execution(session: Session) -> None:
    first = session.run("from IPython.display import update_display\ndisplay('old', display_id='mine')\nprint('kept')")
    second = session.run("update_display('new', display_id='mine')")
    assert second["outputs"] == []
    changed = session.execution(first["id"])
    assert displays(changed) == [{"text/plain": "'new'"}]
    assert text(changed) == "kept\n"
    assert [output["seq"] for output in changed["outputs"]] == [output["seq"] for output in first["outputs"]]


def test_one_id_shown_twice(session: Session) -> None:
    code = "display(1, display_id='x'); display(2, display_id='x'); display('other', display_id='y');"
    first = session.run(code)
    assert displays(first) == [{"text/plain": "1"}, {"text/plain": "2"}, {"text/plain": "'other'"}]
    session.run("from IPython.display import update_display; update_display(3, display_id='x')")
    changed = displays(session.execution(first["id"]))
    assert changed == [{"text/plain": "3"}, {"text/plain": "3"}, {"text/plain": "'other'"}]


def test_update_after_clear_changes_nothing(session: Session) -> None:
    code = """
from IPython.display import clear_output
handle = display('shown', display_id=True)
clear_output()
handle.update('again')
print('end')
"""
    execution = session.run(code)
    assert displays(execution) == []
    assert text(execution) == "end\n"


@pytest.mark.parametrize("wait", [True, False])
def test_clear_output_loop(session: Session, wait: bool) -> None:
    code = (
        f"from IPython.display import clear_output\nfor n in range(20):\n clear_output(wait={wait})\n print('step', n)"
    )
    events = session.events(code)
    assert [event.data["wait"] for event in events if event.type == "output.clear"] == [wait] * 20
    assert "step 7" in streamed(events)
    assert text(session.execution(events[-1].data["id"])) == "step 19\n"


def test_clear_output_at_the_end(session: Session) -> None:
    waits = session.run("from IPython.display import clear_output\nprint('kept')\nclear_output(wait=True)")
    assert text(waits) == "kept\n"
    assert session.run("print('gone'); display(1); clear_output()")["outputs"] == []


def test_tqdm(session: Session) -> None:
    execution = session.run("from tqdm import tqdm\nfor _ in tqdm(range(100), mininterval=0): pass")
    bar = text(execution, "stderr")
    assert bar.count("\r") > 10
    assert "100%" in bar.rpartition("\r")[2]
    assert text(execution) == ""


def test_dataframe(session: Session) -> None:
    execution = session.run("import pandas as pd; pd.DataFrame({'name': ['a', 'b'], 'size': [1.5, 2.5]})")
    (output,) = execution["outputs"]
    assert output["output_type"] == "execute_result"
    assert output["execution_count"] == execution["execution_count"]
    assert "<table" in output["data"]["text/html"]
    assert output["data"]["text/plain"].split() == ["name", "size", "0", "a", "1.5", "1", "b", "2.5"]


@pytest.mark.parametrize(
    "code",
    [
        "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.show()",
        "import pandas as pd\npd.Series([1, 3, 2]).plot();",
        "%matplotlib inline\nfrom matplotlib import pyplot\npyplot.bar('ab', [1, 2]);",
    ],
)
def test_picture(session: Session, code: str) -> None:
    execution = session.run(code)
    assert execution["status"] == "completed", execution["error"]
    (bundle,) = displays(execution)
    assert base64.b64decode(bundle["image/png"], validate=False).startswith(b"\x89PNG\r\n\x1a\n")
    assert "Figure" in bundle["text/plain"]


@pytest.mark.parametrize(
    ("code", "mime", "wanted"),
    [
        ("SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>')", "image/svg+xml", "<svg"),
        ("Latex('$x^2$')", "text/latex", "$x^2$"),
        ("Math('x^2')", "text/latex", "x^2"),
        ("Markdown('**b**')", "text/markdown", "**b**"),
        ("HTML('<b>ü</b>')", "text/html", "<b>ü</b>"),
        ("Javascript('1 + 1')", "application/javascript", "1 + 1"),
        ("Pretty('p')", "text/plain", "p"),
    ],
)
def test_rich_types(session: Session, code: str, mime: str, wanted: str) -> None:
    for statement in (code, f"display({code})"):
        (bundle,) = displays(session.run(f"from IPython.display import *\n{statement}"))
        assert wanted in bundle[mime]


def test_jpeg(session: Session) -> None:
    code = """
import io
from PIL import Image as Picture
from IPython.display import Image
buffer = io.BytesIO()
Picture.new('RGB', (3, 3), 'red').save(buffer, 'JPEG')
Image(buffer.getvalue(), format='jpeg')
"""
    (bundle,) = displays(session.run(code))
    assert base64.b64decode(bundle["image/jpeg"]).startswith(b"\xff\xd8\xff")


def test_pil_picture(session: Session) -> None:
    (bundle,) = displays(session.run("from PIL import Image; Image.new('RGB', (3, 3), 'red')"))
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")


def test_json(session: Session) -> None:
    code = "from IPython.display import JSON; JSON({'a': [1, None, 'ü']})"
    (bundle,) = displays(session.run(code))
    assert bundle["application/json"] == {"a": [1, None, "ü"]}


def test_values_that_json_does_not_have(session: Session) -> None:
    code = "display({'application/json': {'nan': float('nan'), 'inf': float('inf')}, 'text/plain': 'x'}, raw=True)"
    execution = session.run(code)
    assert execution["status"] == "completed"
    assert displays(execution)[0]["text/plain"] == "x"
    assert session.value("print('on')") == "on\n"


def test_plotly(session: Session) -> None:
    execution = session.run("import plotly.express as px\npx.line(x=[1, 2], y=[3, 4]).show()", timeout_s=50)
    assert execution["status"] == "completed", execution["error"]
    (bundle,) = displays(execution)
    figure = bundle["application/vnd.plotly.v1+json"]
    assert figure["data"][0]["type"] == "scatter"
    assert len(json.dumps(bundle)) < 100_000
    (bundle,) = displays(session.run("px.line(x=[1, 2], y=[3, 4])"))
    assert "application/vnd.plotly.v1+json" in bundle
    assert len(json.dumps(bundle)) < 100_000


def test_altair(session: Session) -> None:
    code = """
import altair as alt, pandas as pd
alt.Chart(pd.DataFrame({'a': [1, 2], 'b': [3, 4]})).mark_line().encode(x='a', y='b')
"""
    execution = session.run(code, timeout_s=50)
    assert execution["status"] == "completed", execution["error"]
    (bundle,) = displays(execution)
    (mime,) = (name for name in bundle if name.startswith("application/vnd.vegalite."))
    assert bundle[mime]["mark"]["type"] == "line"
    assert len(json.dumps(bundle)) < 100_000


def test_pager(session: Session) -> None:
    execution = session.run("def f(x):\n    'What f does.'\nf?")
    (bundle,) = displays(execution)
    assert "What f does." in bundle["text/plain"]
    events = session.events("f??")
    assert types(events)[-2:] == ["output.display", "execution.completed"]


def test_async_cell(session: Session) -> None:
    assert session.value("import asyncio\nawait asyncio.sleep(0)\nprint('awaited')") == "awaited\n"
    code = "async def f(n):\n    await asyncio.sleep(0)\n    print(n)\nawait asyncio.gather(f(1), f(2))\n5"
    execution = session.run(code)
    assert text(execution) == "1\n2\n"
    assert displays(execution) == [{"text/plain": "5"}]


def test_magics(session: Session) -> None:
    timed = text(session.run("%%time\nsum(range(10))"))
    assert "Wall time" in timed
    assert session.value("files = !echo one; echo two\nprint(files)") == "['one', 'two']\n"
    assert "two" in session.value("!echo one; echo two")
    session.value("%%writefile made.txt\ncontent")
    assert session.value("print(open('made.txt').read())") == "content\n\n"
    assert "per loop" in session.value("%timeit -n1 -r1 pass")


def test_results(session: Session) -> None:
    assert session.run("5;")["outputs"] == []
    assert session.run("None")["outputs"] == []
    assert session.run("")["status"] == "completed"
    session.value("x = 41")
    session.run("x + 1")
    assert session.value("print(_)") == "42\n"


def test_widget_comes_with_a_plain_form(session: Session) -> None:
    (bundle,) = displays(session.run("import ipywidgets; ipywidgets.IntSlider(3)"))
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "IntSlider" in bundle["text/plain"]
