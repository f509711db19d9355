"""Changes that give one part of a JSON response a wrong type, by name."""

from collections.abc import Callable
from typing import Any


def _change_data(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda body: {**body, "data": change(body.get("data"))}


def _change_id(value: Any) -> Callable[[Any], Any]:
    def change(data: Any) -> Any:
        return {**data, "taskId": value} if isinstance(data, dict) else value

    return _change_data(change)


def _without_id(data: Any) -> Any:
    return {name: value for name, value in data.items() if name != "taskId"} if isinstance(data, dict) else {}


MUTATIONS: dict[str, Callable[[Any], Any]] = {
    "null data": _change_data(lambda _: None),
    "list for data": _change_data(lambda data: [data]),
    "text for data": _change_data(lambda _: "data"),
    "number for data": _change_data(lambda _: 1),
    "text for code": lambda body: {**body, "code": str(body.get("code"))},
    "null code": lambda body: {**body, "code": None},
    "no code": lambda body: {name: value for name, value in body.items() if name != "code"},
    "list for message": lambda body: {**body, "msg": [body.get("msg")]},
    "list for all": lambda body: [body],
    "null for all": lambda _: None,
    "text for all": lambda _: "ok",
    "no taskId": _change_data(_without_id),
    "number for taskId": _change_id(12345),
    "null taskId": _change_id(None),
    "empty taskId": _change_id(""),
}
