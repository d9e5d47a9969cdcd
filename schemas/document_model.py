"""The base class of models of documents."""

from __future__ import annotations

from typing import Annotated, Any

from bson import ObjectId
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

VERSION = 1
"""The version of documents whose shape has not changed yet."""

DocumentKey = Annotated[ObjectId, BeforeValidator(ObjectId), PlainSerializer(str, when_used="json")]
"""A document's key; 24 hexadecimal digits in JSON."""


class DocumentModel(BaseModel):
    """What documents have in common; see `schemas.documents`."""

    model_config = ConfigDict(arbitrary_types_allowed=True, populate_by_name=True, extra="forbid", defer_build=True)

    key: Annotated[DocumentKey, Field(alias="_id")]
    v: int = VERSION
    collector: str

    def _stored(self) -> Any:
        """The document as MongoDB stores it; `to_document` of each model gives it its type."""
        return self.model_dump(by_alias=True, exclude_none=True)
