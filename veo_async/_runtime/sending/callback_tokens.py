"""Callback tokens: each attempt has its own, and its callback URL contains it."""

from collections.abc import Callable
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import attrs

from veo_async._rules.tokens import RANDOM_BYTES, callback_url, is_valid_token, make_token
from veo_async._runtime.job.live_job import LiveJob
from veo_async._wire import AnyRequest, UpgradeRequest
from veo_async._wire.validation import url_problem
from veo_async.errors import InvalidRequest, Problem


def validate_public_url(url: str | None) -> str | None:
    """Return *url* unchanged, or raise `InvalidRequest` if the provider cannot post below it.

    It is sent to the provider and stored on the ledger, so it must not contain a password.
    """
    if url is None:
        return None
    if rule := url_problem(url) or _extra_parts(url):
        shown = url if "@" not in url and "?" not in url else "…"  # they may contain a secret
        raise InvalidRequest.of(Problem("callbacks", shown, rule, "pass only scheme, host and path"))
    return url


def _extra_parts(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.username is None and parts.password is None and not parts.query and not parts.fragment:
        return None
    return "must not contain a user name, a password, a query or a fragment"


class CallbackTokens:
    """Issues tokens and adds them to requests.

    Args:
        secret: of the ledger, so that every session on it recognizes its tokens.
        public_url: where the provider can reach this session; None if it cannot.
        random_bytes: returns that many random bytes.
    """

    def __init__(self, secret: bytes, public_url: str | None, random_bytes: Callable[[int], bytes]) -> None:
        self._secret, self._public_url, self._random_bytes = secret, public_url, random_bytes
        #: The jobs of this session by the tokens of their attempts.
        self._jobs: WeakValueDictionary[str, LiveJob] = WeakValueDictionary()

    def issue(self, job: LiveJob) -> AnyRequest:
        """Issue a token for the next attempt of *job*, and return the request to send."""
        job.token = make_token(self._random_bytes(RANDOM_BYTES), self._secret)
        self._jobs[job.token] = job
        if self._public_url is None or not self.expects_callback(job):
            return job.request_to_send
        return attrs.evolve(job.request_to_send, callback_url=callback_url(self._public_url, job.token))

    def is_valid(self, token: str) -> bool:
        """Whether a session on this ledger issued *token*."""
        return is_valid_token(token, self._secret)

    def job_of(self, token: str) -> LiveJob | None:
        """Return the job of this session with *token*, if there is one."""
        return self._jobs.get(token)

    def expects_callback(self, job: LiveJob) -> bool:
        """Whether a callback with the token of *job* may arrive."""
        if self._public_url is None or job.request is None or job.request.callback_url is not None:
            return False
        return not (
            isinstance(job.request, UpgradeRequest) and job.request.to == "1080p" and not job.has_record
        )  # it is a GET, which has no callback URL
