"""The names of requests on each of the provider's routes."""

from collections.abc import Mapping
from typing import Any

#: The endpoint that creates a clip.
CREATE = {"veo": "generate", "jobs": "create-task"}
#: The endpoint that reads a record.
RECORD = {"veo": "record-info", "jobs": "job-record"}


def fields_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a creating request in the body of either route."""
    fields: Mapping[str, Any] = body.get("input", body)
    return fields
