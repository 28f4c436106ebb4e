"""The base of every table of the configuration. The base has its own file because pydantic is slow to import."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def given(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in self.model_fields_set}
