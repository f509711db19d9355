"""What the provider posts to a callback URL, in each of the shapes that its pages show.

A callback is a hint and never an authority: its signature does not cover its body. It says which record to look at.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from veo_async.errors import MalformedResponse

from .codes import SUCCESS
from .envelope import excerpt, parse_envelope
from .fields import CALLBACK, read_fields
from .responses import Failure


@attrs.frozen(kw_only=True)
class Callback:
    """The end of a generation, an extension or a 4K upgrade, as it was told to us."""

    task_id: str
    #: 200 for success; 400, 422, 500 and 501 tell why it failed.
    code: int
    message: str
    urls: tuple[str, ...] = ()
    full_urls: tuple[str, ...] = ()
    origin_urls: tuple[str, ...] = ()
    image_urls: tuple[str, ...] = ()
    media_ids: tuple[str, ...] = ()
    resolution: str | None = None
    fallback: bool | None = None
    #: The request as the provider echoes it, with the callback URL in it.
    params: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
    credits_consumed: float | None = None
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)

    @property
    def failure(self) -> Failure | None:
        """Why the task failed; None when it did not."""
        return None if self.code == SUCCESS else Failure(code=self.code, message=self.message)


def parse_callback(body: bytes) -> Callback:
    """The callback in *body*.

    Raises:
        MalformedResponse: it is none, or names no task.
    """
    envelope = parse_envelope(body)
    data = envelope.data if isinstance(envelope.data, Mapping) else {}
    found = read_fields(CALLBACK, data, data.get("info"), envelope.raw)
    if "task_id" not in found:
        raise MalformedResponse("a callback that names no task", endpoint="callback", excerpt=excerpt(body))
    return Callback(**found, code=envelope.code, message=envelope.message, raw=envelope.raw)
