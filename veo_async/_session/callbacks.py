"""`CallbackReceiver`: where the provider's callbacks enter a session."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from veo_async._base.checks import check_text
from veo_async._wire.task_ids import is_from_provider
from veo_async.errors import InvalidRequest, Problem
from veo_async.webhooks.receiver import Receiver, ReceiverStatistics

from .lifetime import Lifetime

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from veo_async.webhooks.asgi import AsgiApp

#: The variable that holds the webhook secret.
SECRET_VARIABLE = "KIE_WEBHOOK_HMAC_KEY"  # noqa: S105  # a name, not a secret


class CallbackReceiver:
    """The callbacks of a session, as ``veo.callbacks``: mount it in your web application."""

    def __init__(self, lifetime: Lifetime, secret: str | Sequence[str] | None, now: "Callable[[], float]") -> None:
        self._lifetime = lifetime
        self._receiver = Receiver(
            is_valid_token=lambda token: lifetime.require_open().is_valid_token(token),
            is_tracked=lambda token, task_id: lifetime.require_open().is_tracked(token, task_id),
            hint=self.hint,
            signing_keys=_secrets(secret),
            now=now,
        )

    def asgi(self) -> "AsgiApp":
        """Return an ASGI application that receives callbacks, for ``app.mount("/veo/cb", veo.callbacks.asgi())``."""
        from veo_async.webhooks.asgi import asgi_app  # most sessions need no server

        return asgi_app(self._receiver)

    def aiohttp_routes(self) -> "list[web.RouteDef]":
        """Return routes that receive callbacks, for ``app.add_routes`` of an ``aiohttp.web`` application."""
        from veo_async.webhooks.routes import aiohttp_routes  # the same

        return aiohttp_routes(self._receiver)

    async def hint(self, token: str, task_id: str) -> bool:
        """Report the content of a callback that you received yourself: *task_id* finished, says the holder of *token*.

        The hint is not trusted; it only tells which record to read. A job whose response was lost is bound to the task
        if the record proves it.

        Returns:
            Whether the token belongs to an attempt on this ledger.

        Raises:
            InvalidRequest: *task_id* cannot be an id that the provider has given to a task.
        """
        check_text("token", token)
        check_text("task_id", task_id)
        if not is_from_provider(task_id):
            rule, remedy = "is not a task id", "pass the id exactly as the callback contains it"
            raise InvalidRequest.of(Problem("task_id", task_id, rule, remedy))
        return await self._lifetime.require_open().hint(token, task_id)

    @property
    def statistics(self) -> ReceiverStatistics:
        """Received callbacks, by the HTTP status they were answered with."""
        return self._receiver.statistics


def _secrets(secret: str | Sequence[str] | None) -> Sequence[str]:
    if secret is None:
        secret = os.environ.get(SECRET_VARIABLE) or ()
    return [secret] if isinstance(secret, str) else secret
