"""Names of languages, as models and people write them."""

from __future__ import annotations

import pytest

from kernelgw.languages import DEFAULT, OWN, Language, Languages


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *(("python", "python"), ("py", "python"), ("Python3", "python"), (" PY ", "python")),
        *(("javascript", "javascript"), ("js", "javascript"), ("node", "javascript"), ("JS", "javascript")),
        *(("typescript", "typescript"), ("ts", "typescript"), ("tsx", "typescript")),
        *(("bash", "bash"), ("sh", "bash"), ("shell", "bash"), ("zsh", "bash")),
    ],
)
def test_by_name_and_alias(name: str, found: str) -> None:
    language = Languages().find(name)
    assert language is not None
    assert language.name == found


@pytest.mark.parametrize("name", ["", "cobol", "pythonn", "py thon", "c++"])
def test_others_are_not_guessed(name: str) -> None:
    assert Languages().find(name) is None


def test_no_name_means_two() -> None:
    names = [name for language in OWN for name in (language.name, *language.aliases)]
    assert len(names) == len(set(names))
    assert DEFAULT.name == "python"


def test_further_ones_do_not_hide_ours() -> None:
    mine = Language("python", "Mine", "python", "kernelspec", ("js", "mine"))
    languages = Languages((mine, Language("R", "R", "R", "kernelspec")))
    assert languages.find("python") is DEFAULT
    assert languages.find("js") is OWN[1]
    found = languages.find("mine")
    assert found is None or found.title == "Python"
    assert languages.find("R") is not None
    assert languages.names == ["R", "bash", "javascript", "python", "typescript"]


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("a.py", "python"),
        ("dir/A.JS", "javascript"),
        ("a.mts", "typescript"),
        ("x.sh", "bash"),
        ("x", None),
        ("-", None),
    ],
)
def test_by_how_a_file_is_called(file: str, found: str | None) -> None:
    language = Languages().of_file(file)
    assert (language.name if language is not None else None) == found
