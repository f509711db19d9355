"""The shape of a dialect."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from veo_async._wire.endpoints import Endpoint
from veo_async.errors import Problem, UnsupportedByProvider


def _frozen(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(mapping))


@attrs.frozen(kw_only=True, eq=False)
class Dialect:
    """One provider's addresses, spellings, defaults and limits; all of it data."""

    #: What users call it: ``provider="kie"``.
    name: str
    #: Where the API lives, without a trailing slash.
    base_url: str
    #: Where uploads go; None when the provider documents none.
    upload_url: str | None
    #: Where a key is made, for the error about a missing one.
    key_page: str
    #: Names of the endpoints that its pages know.
    endpoints: frozenset[str]
    #: Options of a request that are spelled otherwise than in today's pages of kie (`fields`).
    spelling: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen)
    #: Options of a request that its pages do not know.
    unknown_options: frozenset[str] = frozenset()
    #: What the provider assumes for what is left out, by its pages.
    defaults: Mapping[str, Any] = attrs.field(factory=dict, converter=_frozen)
    #: Values that its pages list.
    models: tuple[str, ...]
    aspect_ratios: tuple[str, ...]
    resolutions: tuple[str, ...]
    durations: tuple[int, ...]
    #: Models, ratios and durations that reference images work with.
    reference_models: tuple[str, ...]
    reference_ratios: tuple[str, ...]
    reference_durations: tuple[int, ...]
    #: An extension's own model names.
    extend_models: tuple[str, ...]

    def variant(self, name: str, **changes: Any) -> "Dialect":
        """A dialect like this one but for *changes*; spellings are added to the ones it has."""
        spelling = {**self.spelling, **changes.pop("spelling", {})}
        return attrs.evolve(self, name=name, spelling=spelling, **changes)

    def require(self, endpoint: Endpoint[Any]) -> None:
        """Raise `UnsupportedByProvider` when the provider's pages know no such *endpoint*."""
        if endpoint.name not in self.endpoints:
            known = ", ".join(sorted(self.endpoints))
            fault = Problem("endpoint", endpoint.name, f"is not in the pages of {self.name}", f"it has: {known}")
            raise UnsupportedByProvider.of(fault)
