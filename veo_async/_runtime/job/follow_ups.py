"""What is to be made of a clip once it is there: upgrades and extensions, each a job of its own. Plain functions.

A step names its source by key, so that it can be planned before the source has a task; its own key is the source's
with a word behind it, so that the same chain, asked for again, attaches at every link.
"""

from collections.abc import Sequence
from typing import Any

import attrs

from veo_async._wire import AnyRequest, ExtendRequest, UpgradeRequest
from veo_async._wire.models import UPGRADE_TARGETS
from veo_async.errors import InvalidRequest, Problem

from .rows import content_key

#: ``"1080p"``, ``"4k"``, or an `ExtendRequest` or upgrade that names no source.
FollowUp = str | ExtendRequest | UpgradeRequest

#: Enough to tell two extensions of one clip apart.
_HASH_LENGTH = 6


@attrs.frozen
class ChainItem:
    """One job of a chain."""

    key: str
    request: AnyRequest


def chain_of(key: str, then: FollowUp | Sequence[FollowUp]) -> list[ChainItem]:
    """The jobs that follow the job called *key*, each going on from the one before.

    Raises:
        InvalidRequest: something in *then* is no step.
    """
    chain: list[ChainItem] = []
    for step in [then] if isinstance(then, FollowUp) else then:
        chain.append(follow_up_of(chain[-1].key if chain else key, _request(step)))
    return chain


def follow_up_of(key: str, request: ExtendRequest | UpgradeRequest) -> ChainItem:
    """The job that goes on from the job called *key* as *request* says."""
    wanted = attrs.evolve(request, task_id="", after_key=key)
    return ChainItem(f"{key}.{_key_suffix(wanted)}", wanted)


def _key_suffix(request: ExtendRequest | UpgradeRequest) -> str:
    if isinstance(request, ExtendRequest):
        return f"extend-{content_key(request, 1)[:_HASH_LENGTH]}"
    return f"{request.to}-{request.index}" if request.index else request.to


def _request(step: Any) -> ExtendRequest | UpgradeRequest:
    if step in UPGRADE_TARGETS:
        return UpgradeRequest(to=step)
    if isinstance(step, ExtendRequest | UpgradeRequest) and not (step.task_id or step.after_key):
        return step
    listed = " or ".join(repr(name) for name in UPGRADE_TARGETS)
    why = "names its own source" if isinstance(step, ExtendRequest | UpgradeRequest) else "is no step"
    raise InvalidRequest.of(Problem("then", step, why, f"use {listed}, or ExtendRequest(prompt=…)"))
