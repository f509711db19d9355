"""The names of the routes. `routes` says what each of them is, and imports the endpoints for it."""

from typing import Literal

#: The name of a route, as users pass it and as the ledger stores it.
RouteName = Literal["veo", "jobs"]
