"""The route of a task that was created outside this session, by what the routes answer about its id."""

from collections.abc import Mapping

from veo_async._wire import Record, RouteName


def route_of_record(found: Mapping[RouteName, Record]) -> RouteName:
    """Return the route that created a task.

    Args:
        found: the record of the task on each route that has one, at least one, the route that was asked first first.

    The provider may show a task on both routes. Then the model in its record names the route that created it; without
    a model, the route that was asked first counts.
    """
    first, *others = found
    if others:
        for record in found.values():
            if (model := record.model) is not None:
                return "jobs" if model == "veo-3-1" or model.startswith("veo/") else "veo"
    return first
