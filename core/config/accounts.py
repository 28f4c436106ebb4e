"""The keys that an account of each broker may have in the configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationInfo

from core.config import values as kinds
from core.config.exits import LevelTable
from core.settings import AccountSettings


def _base(info: ValidationInfo) -> str:
    """Return the directory at which relative paths start: the configuration file's directory."""
    return str((info.context or {}).get("base", "."))


def _path(value: Any, info: ValidationInfo) -> str:
    return str(kinds.path(_base(info))(value))


def _paths(value: Any, info: ValidationInfo) -> list[str]:
    return list(kinds.rows(kinds.path(_base(info)))(value))


def _credential(value: Any, info: ValidationInfo) -> str:
    return str(kinds.credential(_base(info))(value))


Flag = Annotated[bool, PlainValidator(kinds.flag)]
Text = Annotated[str, PlainValidator(kinds.text)]
Identifier = Annotated[str, PlainValidator(kinds.identifier)]
Credential = Annotated[str, PlainValidator(_credential)]
Address = Annotated[str, PlainValidator(kinds.address("http", "https"))]
StreamAddress = Annotated[str, PlainValidator(kinds.address("ws", "wss", empty=True))]


class _Account(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Annotated[str, PlainValidator(kinds.name)]
    broker: str
    exits: LevelTable = LevelTable()

    def settings(self, owner: str) -> AccountSettings:
        """Return the account as plain values. The adapter decides the options that the file does not give."""
        given = {key: getattr(self, key) for key in type(self).model_fields if key in self.model_fields_set}
        name, broker = given.pop("name"), given.pop("broker")
        given.pop("exits", None)
        return AccountSettings(f"{owner}/{name}", owner, name, broker, options=given, exits=self.exits.level())


class _Network(_Account):
    endpoint: Address | None = None
    stream_endpoint: StreamAddress | None = None


class PaperAccount(_Account):
    broker: Literal["paper"]
    book: Annotated[str | None, PlainValidator(_path)] = None
    prices: Annotated[list[str] | None, PlainValidator(_paths)] = None
    frozen: Flag = False
    latency_ms: Annotated[float, PlainValidator(kinds.seconds(600_000, zero=True))] = 0.0
    seed: Annotated[int, PlainValidator(kinds.whole(0, 2**63 - 1))] = 0
    faults: Annotated[dict[str, float] | None, PlainValidator(kinds.probabilities)] = None
    exchange: Text | None = None  # a label, shown as paper:<label>
    speed: Annotated[float, PlainValidator(kinds.seconds(1_000_000))] = 1.0


class CcxtAccount(_Network):
    broker: Literal["ccxt"]
    exchange: Text
    api_key: Credential | None = None
    secret: Credential | None = None
    password: Credential | None = None
    private_key: Credential | None = None
    token: Credential | None = None
    uid: Identifier | None = None
    wallet_address: Identifier | None = None
    sandbox: Flag = False
    options: Annotated[dict[str, Any] | None, PlainValidator(kinds.plain_table)] = None


class AlpacaAccount(_Network):
    broker: Literal["alpaca"]
    api_key: Credential | None = None
    secret: Credential | None = None
    paper: Flag = False
    feed: Text | None = None
    extended_hours: Flag = False


class TradovateAccount(_Network):
    broker: Literal["tradovate"]
    username: Identifier | None = None  # ``name`` is already the account's name
    password: Credential | None = None
    app_id: Identifier | None = None
    app_version: Identifier | None = None
    cid: Identifier | None = None
    sec: Credential | None = None
    device_id: Identifier | None = None
    demo: Flag = False


ACCOUNTS: dict[str, type[_Account]] = {
    "paper": PaperAccount,
    "ccxt": CcxtAccount,
    "alpaca": AlpacaAccount,
    "tradovate": TradovateAccount,
}
AnyAccount = Annotated[
    PaperAccount | CcxtAccount | AlpacaAccount | TradovateAccount,
    Field(discriminator="broker"),
]
