"""A real gateway, a real Chromium; every test has tabs and sessions of its own and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.live.client import House, Session, visiting
from tests.live.gateway import TOKEN, Gateway

from .chat import Chat
from .chromium import chromium
from .relay import Relay, blank_site, relay

NewChat = Callable[..., Chat]
TIMEOUT_MS = 20_000


# Not of the whole run: while Playwright is there, no test after it could run an event loop.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=TIMEOUT_MS)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("browser") / "data")
    with gateway:
        gateway.remember_baseline()
        yield gateway


@pytest.fixture
def house(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[House]:
    """The gateway as the test itself asks it, and afterwards the proof that nothing leaked."""
    with visiting(gateway, request.node.name) as house:
        yield house


@pytest.fixture
def session(house: House) -> Session:
    """The session that `chat` shows."""
    return house.session()


@pytest.fixture
def new_context(browser: Browser, house: House) -> Iterator[Callable[..., BrowserContext]]:
    """Browser profiles; keyword arguments are those of `Browser.new_context`."""
    made: list[BrowserContext] = []

    def new(**options: Any) -> BrowserContext:
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 900}, **options})
        context.set_default_timeout(TIMEOUT_MS)
        made.append(context)
        return context

    yield new
    for context in made:
        context.close()


@pytest.fixture
def new_chat(new_context: Callable[..., BrowserContext], session: Session) -> Iterator[NewChat]:
    """Opens tabs, `chat` among them. Afterwards none may have complained."""
    made: list[Chat] = []

    def new(base: str = "", token: str = TOKEN, beside: Chat | None = None, **options: Any) -> Chat:
        context = beside.page.context if beside else new_context(**options)
        chat = Chat(context.new_page(), session.id)
        made.append(chat)
        return chat.open(base or str(session.client.base_url).rstrip("/"), token)

    yield new
    assert [complaint for chat in made for complaint in chat.complaints()] == []


@pytest.fixture
def chat(new_chat: NewChat) -> Chat:
    """The page on a new session."""
    return new_chat()


@pytest.fixture
def wire(gateway: Gateway) -> Iterator[Relay]:
    """A way to the gateway on which every request is seen."""
    with relay(gateway.url) as server:
        yield server


@pytest.fixture
def elsewhere(gateway: Gateway) -> Iterator[Relay]:
    """Another origin, where nothing has any business."""
    with relay(gateway.url) as server:
        yield server


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A page of nobody's, for proof that an attack is one."""
    with blank_site() as address:
        yield address
