"""What sessions made, as a browser gets it: it is saved, or shown as what can run nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.client import House, Session, visiting
from tests.live.gateway import Gateway

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("downloads") / "data", pool_size=1) as gateway:
        gateway.remember_baseline()
        yield gateway


@pytest.fixture
def house(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[House]:
    with visiting(gateway, request.node.name) as house:
        yield house


SCRIPT = "<html xmlns='http://www.w3.org/1999/xhtml'><script>parent.ran = 1</script></html>"
ACTIVE = ("a.html", "a.htm", "a.xhtml", "a.svg", "a.xml", "a.js", "a.css", "a.mht", "a", "a.unknown", "a.html.gz")
SAVED = {
    "a.csv": "text/csv; charset=utf-8",
    "a.json": "application/json",
    "a.pdf": "application/pdf",
    "a.zip": "application/zip",
}
SHOWN = {"a.png": "image/png", "a.jpg": "image/jpeg", "a.txt": "text/plain; charset=utf-8", "a.webp": "image/webp"}


def served(session: Session, name: str) -> dict[str, str]:
    """The headers with which the same hostile content comes under this name."""
    made = session.run(f"open({name!r}, 'w').write({SCRIPT + name!r})")
    (artifact,) = made["artifacts"]
    response = session.client.get(artifact["url"])
    assert response.text == SCRIPT + name
    return dict(response.headers)


@pytest.mark.prop("OU05")
def test_what_is_served_runs_nothing_whatever_it_is_called(house: House) -> None:
    session = house.session()
    for name in (*ACTIVE, *SAVED, *SHOWN):
        headers = served(session, name)
        kind = headers["content-type"]
        expected = SAVED.get(name) or SHOWN.get(name) or "application/octet-stream"
        assert kind == expected, (name, kind)
        assert headers["content-disposition"].startswith("inline;" if name in SHOWN else "attachment;"), name
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "sandbox; default-src 'none'; frame-ancestors 'none'"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers


@pytest.mark.prop("OU05")
def test_nor_do_parts_of_outputs(house: House) -> None:
    session = house.session()
    padding = "' ' * 2_000_000"
    for kind in ("text/html", "image/svg+xml", "application/javascript", "text/\u0131", "text/", "text/html\r\nX: y"):
        made = session.run(f"display({{{kind!r}: {SCRIPT!r} + {padding}}}, raw=True)")
        (artifact,) = made["artifacts"]
        response = session.client.get(artifact["url"])
        assert response.headers["content-type"] == "application/octet-stream", kind
        assert response.headers["content-disposition"].startswith("attachment;"), kind
        assert "x" not in response.headers
        assert response.text.startswith(SCRIPT)


@pytest.mark.prop("OU05")
def test_names_do_not_pretend(house: House) -> None:
    session = house.session()
    names = (
        "a\nSet-Cookie: x=1",
        'a"; filename="b.html',
        "exe\u202egnp.exe",
        "ä ö.csv",
        "b\\c",
        "a;b",
        "\u200b.csv",
        "x" * 250,
    )
    for name in names:
        headers = served(session, name)
        shown = headers["content-disposition"]
        assert "set-cookie" not in headers
        assert shown.isascii()
        assert shown.count('"') in (0, 2)
        assert "%E2%80%AE" not in shown
    assert served(session, "ä ö.csv")["content-disposition"] == "attachment; filename*=utf-8''%C3%A4%20%C3%B6.csv"
