"""An analysis as a chat makes it: the user asks, the model writes a cell, one live session runs them all."""

from __future__ import annotations

import argparse
import base64
import json
import os
import struct
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

Event = tuple[str, dict[str, Any]]
CHARTS = ("application/vnd.plotly.", "application/vnd.vega")


class Session:
    """A chat's session. The first cell makes it; variables and files stay from cell to cell."""

    def __init__(self, url: str, token: str, session_id: str) -> None:
        # A silent cell sends a comment every 15 s, so a longer silence is a broken connection.
        timeout = httpx.Timeout(10, read=60)
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=timeout)
        self.path = f"/v1/sessions/{session_id}"

    def run(self, code: str) -> Iterator[Event]:
        """The events of one cell, each when it happens; the last is `execution.completed`."""
        path, headers = f"{self.path}/executions", {"Accept": "text/event-stream"}
        with self.http.stream("POST", path, json={"code": code}, headers=headers) as answer:
            if answer.is_error:
                answer.read()
            answer.raise_for_status()
            yield from sse(answer.iter_text())

    def end(self) -> None:
        self.http.delete(self.path).raise_for_status()


def sse(pieces: Iterator[str]) -> Iterator[Event]:
    # Not iter_lines: it also splits at U+2028 and other characters that JSON may hold as they are.
    rest = ""
    for piece in pieces:
        *frames, rest = (rest + piece).split("\n\n")
        for frame in frames:
            fields = dict(line.split(": ", 1) for line in frame.split("\n") if not line.startswith(":"))
            if fields:
                yield fields["event"], json.loads(fields["data"])


class Transcript:
    """The conversation as a chat window shows it, as far as a terminal can. Pictures go to `folder`."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.pictures = 0

    def begin(self, number: int, turn: Turn) -> None:
        print(f"\n── {number} ── {turn.user}\n")
        print("\n".join(f"  │ {line}".rstrip() for line in turn.code.splitlines()), end="\n\n")

    def show(self, type_: str, data: dict[str, Any]) -> None:
        if type_ == "output.stream":
            print(data["text"], end="", flush=True)
        elif type_ in ("output.display", "output.result"):
            self._bundle(data["data"])
        elif type_ == "output.error":
            print(f"{data['name']}: {data['value']}")

    def _bundle(self, bundle: dict[str, Any]) -> None:
        """One output in each form that the kernel has for it; the richest that is of use here is taken."""
        chart = next((kind for kind in bundle if kind.startswith(CHARTS)), None)
        if "image/png" in bundle:
            self._picture(base64.b64decode(bundle["image/png"]))
        elif chart:
            print(f"[chart {chart}, {kilobytes(len(json.dumps(bundle[chart])))}]")
        elif "text/markdown" in bundle:
            print(bundle["text/markdown"])
        else:
            if "text/html" in bundle:
                print(f"[table text/html, {kilobytes(len(bundle['text/html']))}]")
            print(bundle.get("text/plain", f"[{', '.join(bundle)}]"))

    def _picture(self, png: bytes) -> None:
        self.pictures += 1
        width, height = struct.unpack(">II", png[16:24])
        print(f"[picture image/png {width}x{height}, {kilobytes(len(png))}]")
        if self.folder:
            (self.folder / f"picture-{self.pictures}.png").write_bytes(png)


def kilobytes(size: int) -> str:
    return f"{size / 1000:.0f} kB" if size >= 1000 else f"{size} B"


@dataclass(frozen=True)
class Turn:
    """What the user asks and the cell that the model writes; `error`: what a deliberate mistake raises."""

    user: str
    code: str
    error: str | None = None

    def went_as_planned(self, execution: dict[str, Any]) -> bool:
        error = (execution["error"] or {}).get("name")
        return (execution["status"], error) == ("failed" if self.error else "completed", self.error)


# fmt: off
TURNS = (
    Turn("Load the diabetes data that scikit-learn brings along and show me the first rows.", """\
import pandas as pd
from sklearn.datasets import load_diabetes
pd.set_option("display.width", 100)
raw = load_diabetes(as_frame=True, scaled=False).frame
print(f"{len(raw)} patients, {raw.shape[1]} columns")
raw.head()"""),
    Turn("Is anything missing, twice or odd?", """\
print("missing:", raw.isna().sum().sum(), "  duplicated:", raw.duplicated().sum())
raw.describe().T[["mean", "std", "min", "max"]].round(1)"""),
    Turn("It is clean, then. Give the columns names that I understand, and put the BMI into classes.", """\
patients = raw.rename(columns={
    "bp": "pressure", "s1": "cholesterol", "s2": "ldl", "s3": "hdl", "s4": "cholesterol_ratio",
    "s5": "log_triglycerides", "s6": "glucose", "target": "progression",
}).assign(sex=lambda t: t["sex"].map({1: "A", 2: "B"}))  # the source does not say which is which
limits, names = [0, 18.5, 25, 30, 100], ["underweight", "normal", "overweight", "obese"]
patients["bmi_class"] = pd.cut(patients["bmi"], limits, labels=names, right=False)
patients["bmi_class"].value_counts(sort=False)"""),
    Turn("How is the progression of the disease distributed?", """\
import matplotlib.pyplot as plt
import seaborn as sns
sns.histplot(patients, x="progression", hue="sex", multiple="stack", bins=25)
plt.title("Progression after one year")
plt.show()"""),
    Turn("What is the mean progression in each class of BMI?", """\
by_class = patients.groupby("bmi_group", observed=True)["progression"].agg(["count", "mean", "sem"])
by_class.round(1)""", error="KeyError"),
    Turn("That column is called bmi_class.", """\
by_class = patients.groupby("bmi_class", observed=True)["progression"].agg(["count", "mean", "sem"])
by_class.round(1)"""),
    Turn("Which measurements go together?", """\
correlations = patients.corr(numeric_only=True)
plt.figure(figsize=(8, 6.5))
sns.heatmap(correlations, annot=True, fmt=".2f", cmap="vlag", center=0, annot_kws={"size": 8})
plt.show()
correlations["progression"].drop("progression").nlargest(3)"""),
    Turn("Fit a linear model with these three.", """\
import statsmodels.formula.api as smf
model = smf.ols("progression ~ bmi + pressure + log_triglycerides", data=patients).fit()
print(f"R² = {model.rsquared:.4f}, {model.nobs:.0f} patients")
pd.DataFrame({"coefficient": model.params, "standard error": model.bse, "t": model.tvalues}).round(3)"""),
    Turn("Do the residuals look all right?", """\
from scipy import stats
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
left.scatter(model.fittedvalues, model.resid, s=12, alpha=0.6)
left.axhline(0, color="black", linewidth=1)
left.set(title="Residuals", xlabel="fitted", ylabel="residual")
stats.probplot(model.resid, plot=right)
plt.show()
print(f"mean {abs(model.resid.mean()):.3f}, Shapiro-Wilk p = {stats.shapiro(model.resid).pvalue:.3f}")"""),
    Turn("Would all ten variables predict better? Check on patients that the model has not seen.", """\
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_val_score
folds, scores = KFold(10, shuffle=True, random_state=0), {}
every, target = raw.drop(columns="target"), raw["target"]
full_r2 = LinearRegression().fit(every, target).score(every, target)
for name, table in {"three": every[["bmi", "bp", "s5"]], "all ten": every}.items():
    scores[name] = cross_val_score(LinearRegression(), table, target, cv=folds).mean()
    print(f"{name:8} cross-validated R² = {scores[name]:.3f}")"""),
    Turn("Show me BMI against progression, so that I can point at single patients.", """\
import plotly.express as px
px.scatter(patients, x="bmi", y="progression", color="bmi_class", hover_data=["age", "sex"])"""),
    Turn("And the means by class once more, as bars.", """\
import altair as alt
bars = alt.Chart(by_class.reset_index()).mark_bar()
bars.encode(x=alt.X("bmi_class", sort=None), y="mean", tooltip=["count", "mean"])"""),
    Turn("Save what the model predicts, with the residuals.", """\
predictions = patients[["age", "sex", "bmi", "progression"]].assign(
    predicted=model.fittedvalues.round(3), residual=model.resid.round(3))
predictions.to_csv("predictions.csv", index_label="patient")
print("predictions.csv:", len(predictions), "rows")"""),
    Turn("Read it back: is it all there? Who is furthest off?", """\
saved = pd.read_csv("predictions.csv", index_col="patient")
pd.testing.assert_frame_equal(saved, predictions, check_names=False)
saved.loc[saved["residual"].abs().nlargest(3).index]"""),
    Turn("Sum it up for my notes.", """\
from IPython.display import Markdown
means = by_class["mean"]
Markdown(f'''\
**Progression of diabetes in {len(patients)} patients**

- Its mean is {means["normal"]:.0f} at a normal BMI and {means["obese"]:.0f} with obesity.
- BMI, blood pressure and triglycerides explain {model.rsquared:.0%} of its variance, all ten {full_r2:.0%}.
- For patients that the model has not seen, {scores["three"]:.0%} and {scores["all ten"]:.0%}.''')"""),
)
# fmt: on


def converse(session: Session, turns: Sequence[Turn], transcript: Transcript) -> list[int]:
    """Runs the turns in order; gives the numbers of those that did not go as planned."""
    astray = []
    for number, turn in enumerate(turns, 1):
        transcript.begin(number, turn)
        last: dict[str, Any] = {}
        for type_, last in session.run(turn.code):
            transcript.show(type_, last)
        print(f"({last['status']} in {last['duration_s']:.3f} s)")
        if not turn.went_as_planned(last):
            astray.append(number)
    return astray


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    session = Session(options.url, options.token, options.session or f"chat-{uuid.uuid4().hex[:8]}")
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
    try:
        astray = converse(session, TURNS, Transcript(options.save))
        if not options.session:
            session.end()
    except httpx.HTTPStatusError as refusal:
        return complain(f"The gateway refused: {refusal.response.text}", 2)
    except httpx.TransportError as error:
        return complain(f"No answer from {options.url} ({error}). `kernelgw serve` starts a gateway.", 2)
    return complain(f"\nNot as planned: turns {astray}.", 1) if astray else 0


def complain(text: str, status: int) -> int:
    print(text, file=sys.stderr)
    return status


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs a chat's analysis in a session of a running gateway.")
    parser.add_argument("--url", default=os.environ.get("KERNELGW_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--token", default=os.environ.get("KERNELGW_TOKEN", ""))
    parser.add_argument("--session", help="use this one, and keep it (default: a new one, ended afterwards)")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write the pictures there")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
