"""Follow-ups of a clip: upgrades and extensions, each a separate job. Plain functions.

A follow-up names its source by key, so that it can be submitted before the source has a task. Its own key is the key of
its source plus a suffix, so that the same chain, requested again, attaches to the same jobs.
"""

from collections.abc import Sequence
from typing import Any

import attrs

from veo_async._rules.extensions import with_model_of
from veo_async._wire import AnyRequest, ExtendRequest, UpgradeRequest
from veo_async._wire.models import UPGRADE_TARGETS
from veo_async.errors import InvalidRequest, Problem

from .rows import content_key

#: ``"1080p"``, ``"4k"``, or an `ExtendRequest` or `UpgradeRequest` without a source.
FollowUp = str | ExtendRequest | UpgradeRequest

#: Characters of the content key: enough to distinguish the extensions of one clip.
_HASH_LENGTH = 6


@attrs.frozen
class ChainItem:
    """One job of a chain.

    Attributes:
        key: the key of the job.
        request: its request; a follow-up names its source by key.
    """

    key: str
    request: AnyRequest


def chain_of(key: str, request: AnyRequest, then: FollowUp | Sequence[FollowUp]) -> list[ChainItem]:
    """Return the job of *request* and those that follow it, each continuing from the previous one.

    Raises:
        InvalidRequest: an item of *then* is not a follow-up.
    """
    chain = [ChainItem(key, request)]
    for item in [then] if isinstance(then, FollowUp) else then:
        chain.append(follow_up_of(chain[-1].key, _request(item), source=chain[-1].request))
    return chain


def follow_up_of(key: str, request: ExtendRequest | UpgradeRequest, *, source: AnyRequest | None = None) -> ChainItem:
    """Return the job that continues from the job with *key* as *request* says.

    Args:
        source: the request of the job with *key*, if it is known: an extension without a model takes the one it names.
    """
    request = attrs.evolve(with_model_of(source, request), task_id="", after_key=key)
    return ChainItem(f"{key}.{_key_suffix(request)}", request)


def _key_suffix(request: ExtendRequest | UpgradeRequest) -> str:
    if isinstance(request, ExtendRequest):
        return f"extend-{content_key(request, 1)[:_HASH_LENGTH]}"
    return f"{request.to}-{request.index}" if request.index else request.to


def _request(item: Any) -> ExtendRequest | UpgradeRequest:
    if item in UPGRADE_TARGETS:
        return UpgradeRequest(to=item)
    rule = "is not a follow-up"
    if isinstance(item, ExtendRequest | UpgradeRequest):
        if not (item.task_id or item.after_key):
            return item
        rule = "already has a source"
    targets = " or ".join(repr(name) for name in UPGRADE_TARGETS)
    raise InvalidRequest.of(Problem("then", item, rule, f"use {targets}, or ExtendRequest(prompt=…)"))
