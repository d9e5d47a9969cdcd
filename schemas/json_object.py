"""JSON of any content."""

from typing import Any

JsonObject = dict[str, Any]
"""A JSON object whose keys are not ours, such as what ExaBGP prints, or that a model checks next."""
