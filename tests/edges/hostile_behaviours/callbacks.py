"""Callbacks: missing, repeated, forged, or for another task."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

from .exchange import BEHAVIOURS, Behaviour, respond_honestly


def _callback(task_id: Any, code: int = 200) -> bytes:
    return json.dumps({"code": code, "msg": "x", "data": {"taskId": task_id}}).encode()


#: The bodies that are sent to the callback address instead of the honest one. Arguments: the task, another one.
CALLBACK_LIES: dict[str, Callable[[str, str, Random], list[bytes]]] = {
    "no-callback": lambda task, other, rng: [],
    "duplicate-callback": lambda task, other, rng: [_callback(task)] * 4,
    "forged-failure": lambda task, other, rng: [_callback(task, 500), _callback(task)],
    "callback-for-another-task": lambda task, other, rng: [_callback(other), _callback(task)],
    "false-task-ids": lambda task, other, rng: [*(_callback(rng.randbytes(16).hex()) for _ in "abc"), _callback(task)],
    "strange-callback": lambda task, other, rng: [b"", b"{", _callback(5), bytes(70_000), _callback(task)],
    "surrogate-in-callback": lambda task, other, rng: [_callback("\ud83d"), _callback(task)],
}
for _name in CALLBACK_LIES:
    BEHAVIOURS[_name] = Behaviour(_name, (), respond_honestly, "always")
