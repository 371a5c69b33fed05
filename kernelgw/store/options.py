"""From the gateway's settings to what the indexer has to know."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from urllib.parse import quote, urlsplit

from ..settings import BadSetting, Settings
from .service import Store

POSTGRES = ("postgresql", "postgresql+psycopg")
# In the data directory: the name under which its sessions stand in a database.
HOUSE = "house"
FOLDER, FILE = "store", "history.sqlite"


def open_store(settings: Settings) -> Store | None:
    """None where nothing is kept, or nothing is to be stored. Raises BadSetting."""
    if settings.keep != "disk" or settings.store == "none":
        return None
    options = {
        "url": url_of(settings),
        "house": _house(settings.data_dir),
        "folder": str(settings.data_dir / "sessions"),
        "history_bytes": settings.history_bytes,
        "output_bytes": settings.output_bytes,
    }
    return Store(options, os.environ)


def url_of(settings: Settings) -> str:
    """Raises BadSetting, without the URL: it may have a password."""
    if settings.store == "sqlite":
        return f"sqlite:///{quote(str(settings.data_dir / FOLDER / FILE))}"
    scheme, _, rest = settings.store.partition("://")
    if scheme not in POSTGRES or not rest:
        raise BadSetting("store can be sqlite, none, or a URL that begins with postgresql+psycopg://")
    return f"postgresql+psycopg://{rest}"


def has_password(url: str) -> bool:
    try:
        return urlsplit(url).password is not None or "password=" in url
    except ValueError:
        return True


def _house(data_dir: Path) -> str:
    """The same at every start. Raises BadSetting."""
    path = data_dir / HOUSE
    try:
        if path.exists() and (found := path.read_text().strip()):
            return found
        made = uuid.uuid4().hex
        path.write_text(made)
    except OSError as error:
        raise BadSetting(f"{path} cannot be written: {error.strerror}") from None
    return made
