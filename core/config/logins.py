"""The login of an account at its venue. Two configurations that name one login act on the same positions."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from core.config.secrets import is_reference, resolve
from core.errors import ConfigError
from core.settings import AccountSettings

_KEYS = ("wallet_address", "api_key", "private_key", "token", "username", "uid")


def login_of(account: AccountSettings, env: Mapping[str, str]) -> str | None:
    """Return a text that two accounts share exactly if their venue and key are the same; None if nothing is shared.

    The text may hold a key: hash the text before it leaves the process. The exchange does not count, because one key
    may open several markets of an exchange, and one exchange may have several names.
    """
    options = account.options
    if account.broker == "paper":  # every data directory has a paper venue of its own, whatever book it began with
        return None
    key = next((options[name] for name in _KEYS if options.get(name)), None)
    return None if key is None else " ".join((account.broker, _host(options.get("endpoint")), _value(key, env)))


def _value(key: str, env: Mapping[str, str]) -> str:
    """Return the key itself; the reference where the key cannot be read yet."""
    if not is_reference(key):
        return key.lower()  # an address or a name, in any case
    try:
        return resolve(key, env).reveal().strip()
    except ConfigError:
        return key


def _host(endpoint: str | None) -> str:
    parts = urlsplit(endpoint or "")
    host = {"localhost": "127.0.0.1"}.get(parts.hostname or "", parts.hostname or "")
    return f"{host}:{parts.port or parts.scheme}{parts.path}"
