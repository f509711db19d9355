"""What is to be made of a clip once it is there: upgrades and extensions, each a job of its own. Plain functions.

A step names its source by key, so that it can be planned before the source has a task; its own key is the source's
with a word behind it, so that the same chain, asked for again, attaches at every link.
"""

from collections.abc import Sequence
from typing import Any

import attrs

from veo_async._wire import AnyRequest, ExtendRequest, UpgradeRequest
from veo_async._wire.requests import UPGRADES
from veo_async.errors import Fault, InvalidRequest

from .rows import content_key

#: ``"1080p"``, ``"4k"``, or an `ExtendRequest` or upgrade that names no source.
Step = str | ExtendRequest | UpgradeRequest

#: Enough to tell two extensions of one clip apart.
_HASH_LENGTH = 6


@attrs.frozen
class Link:
    """One job of a chain."""

    key: str
    request: AnyRequest


def links(key: str, then: Step | Sequence[Step]) -> list[Link]:
    """The jobs that follow the job called *key*, each going on from the one before.

    Raises:
        InvalidRequest: something in *then* is no step.
    """
    chain: list[Link] = []
    for step in [then] if isinstance(then, Step) else then:
        chain.append(following(chain[-1].key if chain else key, _request(step)))
    return chain


def following(key: str, request: ExtendRequest | UpgradeRequest) -> Link:
    """The job that goes on from the job called *key* as *request* says."""
    wanted = attrs.evolve(request, task_id="", after=key)
    return Link(f"{key}.{_word(wanted)}", wanted)


def _word(request: ExtendRequest | UpgradeRequest) -> str:
    if isinstance(request, ExtendRequest):
        return f"extend-{content_key(request, 1)[:_HASH_LENGTH]}"
    return f"{request.to}-{request.index}" if request.index else request.to


def _request(step: Any) -> ExtendRequest | UpgradeRequest:
    if step in UPGRADES:
        return UpgradeRequest(to=step)
    if isinstance(step, ExtendRequest | UpgradeRequest) and not (step.task_id or step.after):
        return step
    listed = " or ".join(repr(name) for name in UPGRADES)
    why = "names its own source" if isinstance(step, ExtendRequest | UpgradeRequest) else "is no step"
    raise InvalidRequest.of(Fault("then", step, why, f"use {listed}, or ExtendRequest(prompt=…)"))
