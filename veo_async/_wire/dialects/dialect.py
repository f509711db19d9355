"""The shape of a dialect."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import attrs

from veo_async._wire.endpoints import Endpoint
from veo_async._wire.models import GenerationType, VideoModel
from veo_async.errors import Problem, UnsupportedByProvider

T = TypeVar("T")


def _frozen(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(mapping))


def _union(choices: Iterable[Iterable[T]]) -> tuple[T, ...]:
    """Return every item of *choices* once, in the order of first appearance."""
    return tuple(dict.fromkeys(item for items in choices for item in items))


@attrs.frozen(kw_only=True, eq=False)
class Dialect:
    """One provider's URLs, spellings, defaults and limits. All of it is data.

    Attributes:
        name: the name users pass: ``provider="kie"``.
        base_url: the URL of the API, without a trailing slash.
        upload_url: the URL of the upload host; None if the provider documents none.
        key_page: the page where users create a key; errors about a missing key name it.
        log_page: the page where users see their tasks, with what each was charged; None if the provider documents none.
        endpoints: names of the endpoints in the provider's documentation.
        spelling: request options that are spelled differently from kie's current documentation (`fields`).
        unknown_options: request options that the provider does not document.
        defaults: the documented defaults of options that a request does not set.
        models: the models of this provider, each with what this provider supports for it.
    """

    name: str
    base_url: str
    upload_url: str | None
    key_page: str
    log_page: str | None = None
    endpoints: frozenset[str]
    spelling: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen)
    unknown_options: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = attrs.field(factory=dict, converter=_frozen)
    models: tuple[VideoModel, ...]

    @property
    def model_names(self) -> tuple[str, ...]:
        """The names of the models."""
        return tuple(model.name for model in self.models)

    @property
    def aspect_ratios(self) -> tuple[str, ...]:
        """The aspect ratios that at least one model supports."""
        return _union(model.aspect_ratios for model in self.models)

    @property
    def resolutions(self) -> tuple[str, ...]:
        """The resolutions that at least one model supports."""
        return _union(model.resolutions for model in self.models)

    @property
    def durations(self) -> tuple[int, ...]:
        """The lengths in seconds that at least one model supports."""
        return _union(model.durations for model in self.models)

    @property
    def reference_models(self) -> tuple[str, ...]:
        """The names of the models that take reference images."""
        return tuple(model.name for model in self.models if GenerationType.REFERENCE in model.generation_types)

    @property
    def reference_ratios(self) -> tuple[str, ...]:
        """The aspect ratios that work with reference images."""
        return _union(model.reference_ratios for model in self.models)

    @property
    def reference_durations(self) -> tuple[int, ...]:
        """The lengths in seconds that work with reference images."""
        return _union(model.reference_durations for model in self.models)

    @property
    def extend_models(self) -> tuple[str, ...]:
        """The names that an extension uses for the models."""
        return tuple(model.extend_name for model in self.models if model.extend_name is not None)

    def variant(self, name: str, **changes: Any) -> "Dialect":
        """Return a copy of this dialect with *changes*; new spellings are added to the existing ones.

        A variant with another base URL is another provider: it has no log page unless *changes* name one.
        """
        if "base_url" in changes:
            changes.setdefault("log_page", None)
        spelling = {**self.spelling, **changes.pop("spelling", {})}
        return attrs.evolve(self, name=name, spelling=spelling, **changes)

    def require(self, endpoint: Endpoint[Any]) -> None:
        """Raise `UnsupportedByProvider` if the provider does not document *endpoint*."""
        if endpoint.name not in self.endpoints:
            known = ", ".join(sorted(self.endpoints))
            problem = Problem("endpoint", endpoint.name, f"is not supported by {self.name}", f"supported: {known}")
            raise UnsupportedByProvider.of(problem)
