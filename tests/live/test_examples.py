"""The examples as their readers run them: as programs, against a real gateway."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.chat_session import TURNS, sse

from .client import JSON, House, Session, displays, text
from .gateway import TOKEN, Gateway

pytestmark = pytest.mark.live

Done = subprocess.CompletedProcess[str]
EXAMPLES = Path(__file__).parents[2] / "examples"
CHAT = (sys.executable, str(EXAMPLES / "chat_session.py"))
QUICKSTART = ("bash", str(EXAMPLES / "quickstart.sh"))
HTTP = ["201", "200", "200", "200", "200", "202", "200", "204", "404"]
NOBODY = "http://127.0.0.1:9"

# Of the diabetes data, computed from its definition by numpy alone: least squares by numpy.linalg.lstsq.
COEFFICIENTS = {"Intercept": -334.88117, "bmi": 6.500051, "pressure": 0.902963, "log_triglycerides": 49.57714}
ERRORS = {"Intercept": 25.878493, "bmi": 0.6970972, "pressure": 0.2167688, "log_triglycerides": 5.8903890}
R2, R2_ALL_TEN = 0.480082430, 0.517748422
CLASSES = {"underweight": 2, "normal": 186, "overweight": 155, "obese": 99}
MEANS = {"underweight": 99.0, "normal": 109.376344, "overweight": 165.032258, "obese": 213.343434}
FURTHEST_OFF = {289: -140.230, 102: 139.802, 92: -139.319}


def start(command: Sequence[str], url: str, token: str = TOKEN, cwd: Path | None = None) -> Done:
    # Neither the options of whoever runs the tests nor a proxy must come between.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KERNELGW_")}
    environ |= {"KERNELGW_URL": url, "KERNELGW_TOKEN": token, "NO_PROXY": "*", "no_proxy": "*"}
    return subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True, timeout=50)


@dataclass(frozen=True)
class Chat:
    """What the example left: its transcript, its pictures, and the session that it kept."""

    transcript: str
    pictures: list[bytes]
    executions: list[JSON]
    session: Session

    def turn(self, words: str) -> JSON:
        """The execution of the one turn in whose code these words are."""
        found = [execution for execution in self.executions if words in execution["code"]]
        assert len(found) == 1, f"{len(found)} turns with {words!r}"
        return found[0]


@pytest.fixture(scope="module")
def chat(shared_gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    folder = tmp_path_factory.mktemp("pictures") / "new"
    house = House(shared_gateway, "example")
    session = house.session()
    done = start([*CHAT, "--session", session.id, "--save", str(folder)], shared_gateway.url)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-2000:] + done.stderr
    executions = house.client.get(f"{session.path}/history").raise_for_status().json()["executions"]
    pictures = [path.read_bytes() for path in sorted(folder.iterdir())]
    yield Chat(done.stdout, pictures, executions, session)
    house.delete_sessions()
    house.close()
    shared_gateway.assert_nothing_leaked()


# the conversation


def test_every_turn_ran_once_and_in_order_in_one_kernel(chat: Chat) -> None:
    assert [execution["code"] for execution in chat.executions] == [turn.code for turn in TURNS]
    assert [execution["execution_count"] for execution in chat.executions] == list(range(1, len(TURNS) + 1))
    assert not any(execution["state_lost"] for execution in chat.executions)


@pytest.mark.parametrize("number", range(len(TURNS)), ids=lambda number: f"turn {number + 1}")
def test_a_turn_ends_as_it_should_and_warns_of_nothing(chat: Chat, number: int) -> None:
    execution = chat.executions[number]
    assert execution["status"] == ("failed" if TURNS[number].error else "completed"), execution["error"]
    assert text(execution, "stderr") == ""


def test_the_one_mistake_is_a_wrong_column_and_the_next_turn_mends_it(chat: Chat) -> None:
    (number,) = [number for number, turn in enumerate(TURNS) if turn.error]
    failed, mended = chat.executions[number : number + 2]
    assert (failed["error"]["name"], failed["error"]["value"]) == ("KeyError", "'bmi_group'")
    assert [output["output_type"] for output in failed["outputs"]] == ["error"]
    assert "forkserver" not in "".join(failed["error"]["traceback"])
    assert failed["code"].replace("bmi_group", "bmi_class") == mended["code"]
    assert "\nKeyError: 'bmi_group'\n(failed in " in chat.transcript


def test_the_transcript_has_every_turn_and_how_it_ended(chat: Chat) -> None:
    headings = re.findall(r"^── (\d+) ── (.*)$", chat.transcript, re.MULTILINE)
    assert headings == [(str(number), turn.user) for number, turn in enumerate(TURNS, 1)]
    ends = re.findall(r"^\((\w+) in \d+\.\d{3} s\)$", chat.transcript, re.MULTILINE)
    assert ends == [execution["status"] for execution in chat.executions]


# what came of it


def test_the_table_by_class(chat: Chat) -> None:
    (bundle,) = displays(chat.turn('groupby("bmi_class"'))
    rows = re.findall(r"<th>(\w+)</th>\s+<td>(\d+)</td>\s+<td>([\d.]+)</td>", bundle["text/html"])
    assert {name: int(count) for name, count, _ in rows} == CLASSES
    assert {name: float(mean) for name, _, mean in rows} == pytest.approx(MEANS, abs=0.05)


def test_the_numbers_of_the_fit_are_right_and_still_there(chat: Chat) -> None:
    code = "import json; print(json.dumps([*map(dict, (model.params, model.bse)), model.rsquared, full_r2]))"
    coefficients, errors, r2, r2_all_ten = json.loads(chat.session.value(code))
    assert coefficients == pytest.approx(COEFFICIENTS, rel=1e-5)
    assert errors == pytest.approx(ERRORS, rel=1e-5)
    assert (r2, r2_all_ten) == pytest.approx((R2, R2_ALL_TEN), abs=1e-6)
    assert text(chat.turn("smf.ols")) == f"R² = {R2:.4f}, 442 patients\n"
    # Cross-validated scores depend on how the folds fell; below those of the fit they must be.
    three, ten = re.findall(r"R² = (\d\.\d+)$", text(chat.turn("cross_val_score")), re.MULTILINE)
    assert 0.4 < float(three) < R2
    assert 0.4 < float(ten) < R2_ALL_TEN


def test_the_summary_uses_what_earlier_turns_left(chat: Chat) -> None:
    (bundle,) = displays(chat.turn("Markdown("))
    summary = bundle["text/markdown"]
    assert summary.startswith("**Progression of diabetes in 442 patients**\n\n- ")
    assert f"is {MEANS['normal']:.0f} at a normal BMI and {MEANS['obese']:.0f} with obesity" in summary
    assert f"explain {R2:.0%} of its variance, all ten {R2_ALL_TEN:.0%}." in summary
    assert summary in chat.transcript


def test_pictures_are_whole_and_show_something(chat: Chat) -> None:
    bundles = [bundle for execution in chat.executions for bundle in displays(execution)]
    shown = [bundle["image/png"] for bundle in bundles if "image/png" in bundle]
    assert [base64.b64decode(picture) for picture in shown] == chat.pictures
    sizes = [check_png(picture) for picture in chat.pictures]
    assert len(sizes) == 3
    announced = re.findall(r"^\[picture image/png (\d+)x(\d+), \d+ kB\]$", chat.transcript, re.MULTILINE)
    assert [(int(width), int(height)) for width, height in announced] == sizes


def test_charts_come_as_data(chat: Chat) -> None:
    (bundle,) = displays(chat.turn("px.scatter"))
    traces = bundle["application/vnd.plotly.v1+json"]["data"]
    assert {trace["name"]: len(trace["customdata"]) for trace in traces} == CLASSES
    (bundle,) = displays(chat.turn("alt.Chart"))
    (kind,) = [kind for kind in bundle if kind.startswith("application/vnd.vegalite.")]
    (rows,) = bundle[kind]["datasets"].values()
    assert {row["bmi_class"]: row["mean"] for row in rows} == pytest.approx(MEANS, rel=1e-6)


def test_the_file_has_every_patient(chat: Chat) -> None:
    rows = list(csv.DictReader(io.StringIO(chat.session.value("print(open('predictions.csv').read())"))))
    assert list(rows[0]) == ["patient", "age", "sex", "bmi", "progression", "predicted", "residual"]
    assert [int(row["patient"]) for row in rows] == list(range(442))
    for row in rows:
        progression = float(row["predicted"]) + float(row["residual"])
        assert progression == pytest.approx(float(row["progression"]), abs=0.0011)
    residuals = {int(row["patient"]): float(row["residual"]) for row in rows}
    worst = sorted(residuals, key=lambda patient: -abs(residuals[patient]))[:3]
    assert {patient: residuals[patient] for patient in worst} == FURTHEST_OFF
    (bundle,) = displays(chat.turn("read_csv"))
    assert re.findall(r"<th>(\d+)</th>", bundle["text/html"]) == [str(patient) for patient in FURTHEST_OFF]


# the example's own promises


def test_a_turn_that_fails_or_a_mistake_that_does_not_makes_status_1(shared_gateway: Gateway) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import chat_session as c\n"
        "c.TURNS = (c.Turn('fine', 'x = 1'), c.Turn('wrong', 'y'), c.Turn('right', 'x', error='NameError'),\n"
        "           c.Turn('other', '1 / 0', error='NameError'), c.Turn('meant', 'y', error='NameError'))\n"
        "sys.exit(c.main([]))"
    )
    done = start([sys.executable, "-c", code, str(EXAMPLES)], shared_gateway.url)
    assert (done.returncode, done.stderr) == (1, "\nNot as planned: turns [2, 3, 4].\n")
    assert len(re.findall(r"^\((?:completed|failed) in ", done.stdout, re.MULTILINE)) == 5
    with shared_gateway.client() as client:
        left = client.get("/v1/sessions").raise_for_status().json()["sessions"]
    assert not [session["id"] for session in left if session["id"].startswith("chat-")]


def test_a_chat_without_a_gateway_says_so(shared_gateway: Gateway) -> None:
    away, refused = start(CHAT, NOBODY), start(CHAT, shared_gateway.url, "wrong")
    assert (away.returncode, refused.returncode) == (2, 2)
    assert away.stderr.startswith(f"No answer from {NOBODY} (")
    assert "kernelgw serve" in away.stderr
    assert '"code":"unauthorized"' in refused.stderr


def test_events_are_read_whatever_pieces_they_come_in() -> None:
    frames = 'id: 7\nevent: a\ndata: {"x":"\u2028 \x85: b"}\n\n: alive\n\nid: 8\nevent: b\ndata: {}\n\n'
    for size in (1, 3, len(frames)):
        pieces = (frames[at : at + size] for at in range(0, len(frames), size))
        assert list(sse(pieces)) == [("a", {"x": "\u2028 \x85: b"}), ("b", {})]


# the tour


def test_quickstart(shared_gateway: Gateway, tmp_path: Path) -> None:
    done = start([*QUICKSTART, "squares.png"], shared_gateway.url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() in ([], ["curl: (22) The requested URL returned error: 404"])
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"id"')]
    runs = [answer for answer in answers if "outputs" in answer]
    assert [run["status"] for run in runs] == ["completed", "completed", "failed", "completed"]
    assert [run["error"]["name"] for run in runs if run["error"]] == ["IndexError"]
    values = [displays(run)[-1]["text/plain"] for run in runs if not run["error"]]
    assert values == ["np.int64(285)", "array([49, 64, 81])", "10"]
    assert text(runs[0]) == "ten squares\n"
    assert re.findall(r"^\(HTTP (\d+)\)$", done.stdout, re.MULTILINE) == HTTP
    assert check_png((tmp_path / "squares.png").read_bytes())
    assert TOKEN not in done.stdout


def test_quickstart_shows_streams(shared_gateway: Gateway, tmp_path: Path) -> None:
    done = start(QUICKSTART, shared_gateway.url, cwd=tmp_path)
    frames = re.findall(r"^id: \d+\nevent: (\S+)\ndata: (.*)$", done.stdout, re.MULTILINE)
    assert (
        "".join(json.loads(data)["text"] for type_, data in frames if type_ == "output.stream")
        == "step 0\nstep 1\nstep 2\n"
    )
    ends = [json.loads(data)["status"] for type_, data in frames if type_ == "execution.completed"]
    assert ends == ["completed", "interrupted"]


def test_quickstart_without_a_gateway_says_so(shared_gateway: Gateway, tmp_path: Path) -> None:
    away = start(QUICKSTART, NOBODY, cwd=tmp_path)
    refused = start(QUICKSTART, shared_gateway.url, "wrong", cwd=tmp_path)
    assert (away.returncode, refused.returncode) == (1, 1)
    assert away.stdout + refused.stdout == ""
    assert away.stderr.startswith(f"No gateway answers at {NOBODY} (")
    assert "does not let us in" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def check_png(data: bytes) -> tuple[int, int]:
    """Width and height of a picture that is whole, of a size to look at, and not of one colour."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks: list[tuple[bytes, bytes]] = []
    at = 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size]) == (zlib.crc32(name + body),)
        chunks.append((name, body))
        at += 12 + size
    assert (chunks[0][0], chunks[-1][0]) == (b"IHDR", b"IEND")
    width, height, depth, colour = struct.unpack(">IIBB", chunks[0][1][:10])
    assert (depth, colour) == (8, 6)
    pixels = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    assert len(pixels) == height * (1 + 4 * width)
    assert len(set(pixels)) > 20
    assert 400 < width < 1600
    assert 300 < height < 1200
    return width, height
