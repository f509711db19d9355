"""Each creating attempt gets a token of its own, and plants it in the callback URL where there is one."""

from collections.abc import Callable
from weakref import WeakValueDictionary

import attrs

from veo_async._rules.tokens import RANDOM_BYTES, callback_url, is_valid_token, make_token
from veo_async._runtime.job.live_job import LiveJob
from veo_async._wire import AnyRequest, UpgradeRequest
from veo_async._wire.validation import url_problem
from veo_async.errors import InvalidRequest, Problem


def validate_public_url(url: str | None) -> str | None:
    """*url*, if the provider could post there."""
    if url is not None and (why := url_problem(url)):
        raise InvalidRequest.of(Problem("callbacks", url, why, "give the address at which the provider reaches you"))
    return url


class CallbackTokens:
    """Mints tokens and writes them into requests.

    Args:
        secret: the ledger's, so that every session on it knows its tokens.
        public_url: where this session can be reached by the provider; None when it cannot.
        chance: gives so many random bytes.
    """

    def __init__(self, secret: bytes, public_url: str | None, random_bytes: Callable[[int], bytes]) -> None:
        self._secret, self._public_url, self._random_bytes = secret, public_url, random_bytes
        #: Whose attempt has which token, of this session's own.
        self._jobs: WeakValueDictionary[str, LiveJob] = WeakValueDictionary()

    def issue(self, job: LiveJob) -> AnyRequest:
        """A new token for *entry*'s next attempt, and the request as it is sent."""
        job.token = make_token(self._random_bytes(RANDOM_BYTES), self._secret)
        self._jobs[job.token] = job
        if self._public_url is None or not self.expects_callback(job):
            return job.request_to_send
        return attrs.evolve(job.request_to_send, callback_url=callback_url(self._public_url, job.token))

    def is_valid(self, token: str) -> bool:
        """Whether *token* was minted by a session on this ledger."""
        return is_valid_token(token, self._secret)

    def job_of(self, token: str) -> LiveJob | None:
        """The job that this session has stamped with *token*."""
        return self._jobs.get(token)

    def expects_callback(self, job: LiveJob) -> bool:
        """Whether a callback may come that holds *entry*'s token."""
        if self._public_url is None or job.request is None or job.request.callback_url is not None:
            return False
        return not (isinstance(job.request, UpgradeRequest) and job.request.to == "1080p")  # a GET has no address
