"""Each creating attempt gets a token of its own, and plants it in the callback URL where there is one."""

from collections.abc import Callable
from weakref import WeakValueDictionary

import attrs

from veo_async._rules.tokens import CHANCE_BYTES, callback_url, is_token, mint
from veo_async._runtime.job.live_job import Entry
from veo_async._wire import AnyRequest, UpgradeRequest
from veo_async._wire.validation import url_fault
from veo_async.errors import Fault, InvalidRequest


def checked_public_url(url: str | None) -> str | None:
    """*url*, if the provider could post there."""
    if url is not None and (why := url_fault(url)):
        raise InvalidRequest.of(Fault("public_url", url, why, "give the address at which the provider reaches you"))
    return url


class Stamper:
    """Mints tokens and writes them into requests.

    Args:
        secret: the ledger's, so that every session on it knows its tokens.
        public_url: where this session can be reached by the provider; None when it cannot.
        chance: gives so many random bytes.
    """

    def __init__(self, secret: bytes, public_url: str | None, chance: Callable[[int], bytes]) -> None:
        self._secret, self._public_url, self._chance = secret, public_url, chance
        #: Whose attempt has which token, of this session's own.
        self._stamped: WeakValueDictionary[str, Entry] = WeakValueDictionary()

    def stamp(self, entry: Entry) -> AnyRequest:
        """A new token for *entry*'s next attempt, and the request as it is sent."""
        entry.token = mint(self._chance(CHANCE_BYTES), self._secret)
        self._stamped[entry.token] = entry
        if self._public_url is None or not self.is_called_back(entry):
            return entry.wanted
        return attrs.evolve(entry.wanted, callback_url=callback_url(self._public_url, entry.token))

    def is_ours(self, token: str) -> bool:
        """Whether *token* was minted by a session on this ledger."""
        return is_token(token, self._secret)

    def whose(self, token: str) -> Entry | None:
        """The job that this session has stamped with *token*."""
        return self._stamped.get(token)

    def is_called_back(self, entry: Entry) -> bool:
        """Whether a callback may come that holds *entry*'s token."""
        if self._public_url is None or entry.request is None or entry.request.callback_url is not None:
            return False
        return not (isinstance(entry.request, UpgradeRequest) and entry.request.to == "1080p")  # a GET has no address
