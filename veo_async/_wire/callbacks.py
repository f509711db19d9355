"""What the provider posts to a callback URL, in all documented shapes.

A callback is only a hint, because its signature does not cover its body. It says which record to read. A session takes
nothing else from it, not even the whole video of an extension, which on the jobs route only a callback may name.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from veo_async.errors import MalformedResponse

from .codes import SUCCESS
from .envelope import excerpt, parse_envelope
from .fields import CALLBACK, read_fields
from .responses import Failure, result_layers
from .task_ids import is_from_provider

#: The code of a failed task that has none.
_FAILED = 501


@attrs.frozen(kw_only=True)
class Callback:
    """The provider's notification that a generation, an extension or a 4K upgrade has finished.

    Attributes:
        task_id: the provider's task id.
        code: 200 for success; 400, 422, 500 or 501 for a failure.
        message: the provider's message.
        urls: the URLs of the videos.
        full_urls: the URLs of the whole extended video, if there is one. A clip has them only if its record does. To
            get them from a callback, receive it in your own web application: `webhooks.verify` and `webhooks.parse` it,
            and pass its task id to ``veo.callbacks.hint()``. Anyone who knows the callback URL can send other URLs.
        origin_urls: the URLs of the uncropped videos.
        image_urls: the input images.
        media_ids: the provider's ids of the videos.
        resolution: the resolution of the videos.
        fallback: whether the provider used its fallback model.
        params: the request as the provider echoes it, including the callback URL.
        credits_consumed: the credits that the task cost, if the callback says so.
        raw: the whole callback, as it was received.
    """

    task_id: str
    code: int
    message: str
    urls: tuple[str, ...] = ()
    full_urls: tuple[str, ...] = ()
    origin_urls: tuple[str, ...] = ()
    image_urls: tuple[str, ...] = ()
    media_ids: tuple[str, ...] = ()
    resolution: str | None = None
    fallback: bool | None = None
    params: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
    credits_consumed: float | None = None
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)

    @property
    def failure(self) -> Failure | None:
        """Why the task failed; None if it succeeded."""
        return None if self.code == SUCCESS else Failure(code=self.code, message=self.message)


def parse_callback(body: bytes) -> Callback:
    """Return the callback in *body*.

    Raises:
        MalformedResponse: *body* is not a callback or has no task id.
    """
    envelope = parse_envelope(body)
    data = envelope.data if isinstance(envelope.data, Mapping) else {}
    found = read_fields(CALLBACK, data, data.get("info"), *result_layers(data), envelope.raw)
    reason, own_code = found.pop("error_message", None), found.pop("error_code", None)
    is_failed = found.pop("word", None) == "fail" or envelope.code != SUCCESS
    # The task's own code says more than the envelope's, which is 501 for every failure.
    code = next(c for c in (own_code, envelope.code, _FAILED) if c not in (None, SUCCESS)) if is_failed else SUCCESS
    if not is_from_provider(found.get("task_id", "")):
        raise MalformedResponse("the callback contains no task id", endpoint="callback", excerpt=excerpt(body))
    return Callback(**found, code=code, message=reason or envelope.message, raw=envelope.raw)
