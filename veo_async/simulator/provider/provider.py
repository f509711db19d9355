"""The provider without faults: its API keys, its accounts, and its download and upload hosts."""

from collections.abc import Callable, Hashable
from math import inf
from random import Random

from veo_async.simulator.clock import ClientTime

from .account import Account
from .charges import Charge, double_charges, request_key
from .endpoints import Endpoints
from .files import FileHost
from .messages import (
    DOWNLOAD,
    JOBS_ENDPOINTS,
    UNKNOWN,
    VEO_ENDPOINTS,
    ErrorResponse,
    SimRequest,
    SimResponse,
    is_upload,
    method_of,
)
from .settings import OldRoute, ProviderSettings
from .tasks import Task, TaskIds
from .uploads import UploadError, UploadHost

_UNKNOWN_KEY = "Unauthorized – Authentication failed, please check your API key"


class Provider:
    """The provider as a whole."""

    def __init__(self, settings: ProviderSettings, *, api_key: str, started_at: float, base_url: str = "") -> None:
        self.settings = settings
        self.started_at = started_at
        #: What of each route is served. A test may change it at any time.
        self.veo_route: OldRoute = "on" if settings.old_route_after else settings.old_route
        self.serves_jobs: bool = settings.jobs_route == "on"
        #: The number of tasks that the dedicated endpoints create before they close; 0 if they do not, or have closed.
        self._veo_tasks_left = settings.old_route_after
        self.files: FileHost = FileHost(base_url)
        #: Each accepted API key and the account that it bills.
        self.keys: dict[str, str] = settings.keys(api_key)
        self.rng: Random = Random(settings.seed)
        self._ids = TaskIds(Random(f"ids {settings.seed}"), settings.dialect, list(settings.task_ids))
        self._client_time = ClientTime(started_at, settings.speed / settings.client_speed)
        self._uploads = UploadHost(settings, rng=self.rng, files=self.files, client_time=self._client_time)
        self.accounts: dict[str, Account] = {}
        self._endpoints: dict[str, Endpoints] = {}
        for name in dict.fromkeys(self.keys.values()):
            self.account(name)

    def account(self, name: str) -> Account:
        """Return the account called *name*, creating it if necessary."""
        if name not in self.accounts:
            rng = Random(f"{name} {self.settings.seed}")
            account = Account(
                name, self.settings, rng=rng, ids=self._ids, files=self.files, client_time=self._client_time
            )
            self.accounts[name] = account
            self._endpoints[name] = Endpoints(account)
        return self.accounts[name]

    # --- requests ---------------------------------------------------------------------------------------------

    def handle(self, request: SimRequest, now: float) -> SimResponse:
        """Return the response to *request*."""
        endpoint = request.endpoint
        if endpoint == DOWNLOAD:
            self.catch_up(now)
            return self.files.respond(request, now)
        if is_upload(endpoint):
            return self._upload(request, now)
        try:
            account = self._authorize(request, endpoint, now)
        except ErrorResponse as error:
            return error.to_response(self.settings.error_style)
        return self._endpoints[account.name].handle(request, now)

    def _authorize(self, request: SimRequest, endpoint: str, now: float) -> Account:
        """Return the account that *request* may use.

        Raises:
            ErrorResponse: an unknown key (401), maintenance (455), a wrong address (404) or a disabled endpoint (505).
        """
        name = self.keys.get(request.key)
        if name is None:
            raise ErrorResponse(401, _UNKNOWN_KEY, form=self.settings.unknown_key_style)
        if self._in_maintenance(now):
            raise ErrorResponse(455, "Service Unavailable - System is currently undergoing maintenance")
        if not self._serves(endpoint) or request.method != method_of(endpoint):
            raise ErrorResponse(404, "The requested resource or endpoint does not exist", form="http")
        if self.settings.is_disabled((endpoint,)):
            raise ErrorResponse(505, "The requested feature is currently disabled")
        return self.account(name)

    def _serves(self, endpoint: str) -> bool:
        if self.settings.dialect == "apikley":
            return endpoint in ("generate", "record-info", "credit")
        if endpoint in VEO_ENDPOINTS:
            self._close_veo_route_when_due()
            return self.veo_route == "on" or (self.veo_route == "read-only" and endpoint == "record-info")
        if endpoint in JOBS_ENDPOINTS:
            return self.serves_jobs
        return endpoint != UNKNOWN

    def _close_veo_route_when_due(self) -> None:
        """Apply the setting ``old_route`` when enough tasks were created there; once, so that a test may undo it."""
        if self._veo_tasks_left and sum(task.route == "veo" for task in self.tasks.values()) >= self._veo_tasks_left:
            self._veo_tasks_left, self.veo_route = 0, self.settings.old_route

    def _in_maintenance(self, now: float) -> bool:
        since_start = now - self.started_at
        return any(begin <= since_start < end for begin, end in self.settings.maintenance)

    def _upload(self, request: SimRequest, now: float) -> SimResponse:
        if request.method != "POST":
            return UploadError(405, "Method not allowed").to_response()
        if request.key not in self.keys:
            return UploadError(401, "Authentication failed: Invalid API Key").to_response()
        return self._uploads.handle(request, now)

    # --- time -------------------------------------------------------------------------------------------------

    def catch_up(self, now: float) -> None:
        """Finish every task of every account that should have finished by *now*."""
        for account in self.accounts.values():
            account.catch_up(now)

    def finished_with_callback(self, now: float) -> list[Task]:
        """Return the tasks with a callback address that finished since the last call."""
        return [task for account in self.accounts.values() for task in account.finished_with_callback(now)]

    def next_deadline(self, now: float) -> float:
        """Return when the next task finishes; `inf` if none is running."""
        return min((account.next_deadline(now) for account in self.accounts.values()), default=inf)

    # --- inspection -------------------------------------------------------------------------------------------

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Every charge of every account, oldest first."""
        found = [charge for account in self.accounts.values() for charge in account.charge_log.charges]
        return tuple(sorted(found, key=lambda charge: charge.at))

    @property
    def tasks(self) -> dict[str, Task]:
        """Every task by its id."""
        return {task_id: task for account in self.accounts.values() for task_id, task in account.tasks.items()}

    def double_charges(self, key_of: Callable[[Charge], Hashable] = request_key) -> tuple[tuple[Charge, ...], ...]:
        """Return groups of charges for the same request; see `charges.double_charges`."""
        return double_charges(self.charges, key_of)
