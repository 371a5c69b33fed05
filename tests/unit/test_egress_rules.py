"""Rules permit what they name, and what they do not understand is refused where it is said."""

from __future__ import annotations

import json

import pytest

from kernelgw.egress.names import Target, split
from kernelgw.egress.rules import MOST_CHARACTERS, BadRule, Rule, Rules, Trust, trusts, upstream

# Rule, then targets that it permits and such that it does not.
TABLE: dict[str, tuple[list[str], list[str]]] = {
    "example.org": (
        ["example.org:443", "example.org:80", "EXAMPLE.ORG.:443"],
        [
            *("example.org:8443", "example.org:22", "www.example.org:443", "example.org.evil.test:443"),
            *("evil-example.org:443", "evilexample.org:443", "example.com:443", "org:443", "xample.org:443"),
        ],
    ),
    "*.example.org": (
        ["www.example.org:443", "a.b.example.org:80", "WWW.EXAMPLE.ORG:443"],
        ["example.org:443", "evilexample.org:443", "www.example.org.evil.test:443", "www.example.org:8080"],
    ),
    "example.org:8443": (["example.org:8443"], ["example.org:443", "example.org:80"]),
    "*.example.org:5000": (["a.example.org:5000"], ["a.example.org:443", "example.org:5000"]),
    "EXAMPLE.ORG.": (["example.org:443"], ["example.com:443"]),
    "bücher.example": (["xn--bcher-kva.example:443"], ["bucher.example:443", "xn--bcher-kvb.example:443"]),
    "192.0.2.7": (["192.0.2.7:443"], ["192.0.2.70:443", "7.192.0.2:443"]),
    "[2001:db8::1]:443": (["[2001:DB8:0::1]:443"], ["[2001:db8::2]:443", "[2001:db8::1]:80"]),
    "2001:db8::1": (["[2001:db8::1]:80"], ["[2001:db8::10]:80"]),
}
NO_RULES = [
    *(
        "",
        "*",
        "*.",
        "*.org",
        "*.*.org",
        "w*.example.org",
        "www.*.org",
        "**.example.org",
        ".example.org",
        "*example.org",
    ),
    *("http://example.org", "example.org/path", "user@example.org", "example.org:0", "example.org:x", "example.org:"),
    *("example.org:80-90", "127.1", "0x7f.1", "*.10.0.0.1", "*.[::1]", "10.0.0.0/8", "a b", "exam ple.org", "*.:443"),
]


@pytest.mark.prop("NE07", "NE08")
@pytest.mark.parametrize("text", TABLE)
def test_a_rule_permits_what_it_names(text: str) -> None:
    permitted, others = TABLE[text]
    for rules in (Rules.parse([text]), Rules.parse([], [text])):
        again = Rules.from_json(json.loads(json.dumps(rules.as_json())))
        assert again == rules
        assert [each for each in permitted if not rules.permits(split(each))] == []
        assert [each for each in others if rules.permits(split(each))] == []


@pytest.mark.prop("NE07")
@pytest.mark.parametrize("text", NO_RULES, ids=repr)
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(BadRule):
        Rule.parse(text)


@pytest.mark.prop("NE07")
def test_an_empty_list_is_nobody() -> None:
    rules = Rules.parse([])
    assert not any(
        rules.permits(Target(host, port)) for host in ("example.org", "localhost", "::1") for port in (80, 443)
    )
    assert Rules.from_json(rules.as_json()) == rules


@pytest.mark.prop("NE07")
def test_full_is_names_on_the_ports_of_the_web() -> None:
    rules = Rules.from_json(Rules.full().as_json())
    assert rules.permits(split("example.org:443"))
    assert rules.permits(split("example.org:80"))
    for text in ("example.org:22", "example.org:8443", "192.0.2.1:443", "[2001:db8::1]:443"):
        assert not rules.permits(split(text)), text
    assert not rules.trusts(split("example.org:443"))


def test_only_the_operator_s_hosts_are_trusted() -> None:
    rules = Rules.parse(["example.org"], ["mirror.test:8081"])
    assert rules.permits(split("mirror.test:8081"))
    assert rules.trusts(split("mirror.test:8081"))
    assert not rules.permits(split("mirror.test:443"))
    assert not rules.trusts(split("example.org:443"))


def test_rules_are_bounded_since_they_travel_in_one_message() -> None:
    name = f"{'a' * 60}.{'b' * 60}.test"
    many = [name] * (MOST_CHARACTERS // len(name))
    assert len(json.dumps(Rules.parse(many).as_json())) < 128 << 10
    for allow, trusted in (([*many, name], []), (many, [name])):
        with pytest.raises(BadRule, match="characters"):
            Rules.parse(allow, trusted)


def test_exceptions_for_private_networks() -> None:
    assert trusts(["Mirror.Test.=10.0.0.0/8", "v6.test=fd00::/8"]) == (
        Trust("mirror.test", "10.0.0.0/8"),
        Trust("v6.test", "fd00::/8"),
    )
    for text in (
        "",
        "mirror.test",
        "mirror.test=",
        "=10.0.0.0/8",
        "mirror.test=10.0.0.1/8",
        "mirror.test=all",
        "*.t=::/0",
    ):
        with pytest.raises(BadRule):
            Trust.parse(text)


def test_a_proxy_of_the_network_is_understood_or_refused() -> None:
    assert upstream("") is None
    assert upstream("http://proxy.test:3128") == Target("proxy.test", 3128)
    assert upstream("http://[::1]:3128/") == Target("::1", 3128)
    for text in (
        *("proxy.test:3128", "proxy.test", "http://proxy.test", "https://proxy.test:3128", "socks5://proxy.test:1080"),
        *("http://proxy.test:3128/path", "http://:3128", "HTTP//proxy.test:1"),
    ):
        with pytest.raises(BadRule):
            upstream(text)
    with pytest.raises(BadRule) as caught:
        upstream("http://user:secret@proxy.test:3128")
    assert "secret" not in str(caught.value)
