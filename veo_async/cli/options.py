"""Options that several commands share, as values that cyclopts fills in.

The text below a field is its help text.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
from cyclopts import Parameter

from veo_async.models import DEFAULT_MODEL, MODELS

#: An option of every command that opens a ledger for work.
AcceptRestored = Annotated[
    bool,
    Parameter(
        negative=(),
        show_default=False,
        help="Open a ledger that was restored or copied. Its unsent jobs may be paid for twice; give it once.",
    ),
]

#: An option of every command that sends requests.
MinBalance = Annotated[
    float | None,
    Parameter(help="Credits to keep on the account. A job that would take the balance below it waits for a top-up."),
]

#: An option of the commands that send many requests.
StopOnOvercharge = Annotated[
    bool,
    Parameter(
        negative=(),
        show_default=False,
        help="Send no more clips of a model once the provider charges more for it than expected; needs --route jobs.",
    ),
]

#: Seconds that `batch` and `resume` wait for running clips after the first Ctrl-C.
STOP_TIMEOUT_S = 600.0


_MODELS_HELP = f"One of {', '.join(model.name for model in MODELS)}."


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ClipOptions:
    """Where one clip is saved, which ledger holds its job, and how the result is printed."""

    out: str = "veo-out"  # not a Path, which would drop the slash at the end
    """A file that ends in .mp4; a folder, with a slash at the end; or a template like clips/{slug}-{id}.mp4."""

    overwrite: bool = False
    """Replace the file named by --out although it belongs to another clip, or to none."""

    ledger: Path = Path("veo.db")
    """Ledger file."""

    account: str | None = None
    """Account name, so that the API key may change between runs (default: derived from the API key)."""

    accept_restored: AcceptRestored = False

    min_balance: MinBalance = None

    json: bool = False
    """Print the result as one JSON object."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class VideoOptions:
    """The fields of a `VideoRequest` apart from its prompt."""

    model: Annotated[str, Parameter(help=_MODELS_HELP)] = DEFAULT_MODEL

    aspect_ratio: str = "16:9"
    """16:9, 9:16 or Auto."""

    image: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = ()
    """First frame, first and last frame, or reference images (file or URL); repeatable."""

    seeds: int | None = None
    """10000 to 99999; the same seed gives similar clips."""

    duration: int | None = None
    """Seconds: 4, 6 or 8."""

    resolution: str | None = None
    """720p, 1080p or 4k."""

    def as_arguments(self) -> dict[str, Any]:
        """Return the keyword arguments for `VeoSession.submit`."""
        values = attrs.asdict(self)
        return {"image_urls": values.pop("image"), **values}


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class BatchOptions:
    """How a list is read and run."""

    out: Path | None = None
    """Output folder (default: NAME-out next to the list)."""

    ledger: Path | None = None
    """Ledger file (default: ledger.db in the output folder)."""

    account: str | None = None
    """Account name, so that the API key may change between runs (default: derived from the API key)."""

    format: Literal["csv", "tsv", "jsonl", "json"] | None = None
    """List format, if the file extension does not say."""

    prompt: str | None = None
    """A template for the prompt: "A {animal} on a {thing}", using the list's columns."""

    model: str | None = None
    """Default for rows without one."""

    aspect_ratio: str | None = None
    """Default for rows without one."""

    resolution: str | None = None
    """Default for rows without one."""

    accept_restored: AcceptRestored = False

    min_balance: MinBalance = None

    stop_on_overcharge: StopOnOvercharge = False

    budget: float | None = None
    """Maximum credits for this list, all its runs together. An edited list keeps its budget; a moved one is new."""

    title: str | None = None
    """Title of the gallery (default: the list's name)."""

    client: bool = False
    """Also write client.html, a gallery for a client: clips and prompts, without costs, ids and failures."""

    stop_timeout: float = STOP_TIMEOUT_S
    """Seconds to wait for running clips after Ctrl-C."""

    name: str | None = None
    """A template for file names: "{n:03}-{slug}", with {n} for the row, {key}, {slug}, {id} and {model}."""

    strict: bool = False
    """Refuse a list with columns that are not known, instead of copying them to the results."""

    dry_run: bool = False
    """Validate the list, print how many rows are done and left, and their price; send nothing."""

    skip_invalid: bool = False
    """Run the valid rows; write the others to rejected.csv."""

    json: bool = False
    """Print one JSON object per finished row, then a summary."""

    def row_defaults(self) -> dict[str, Any]:
        """Return the request fields for rows that do not set them."""
        fields = {"model": self.model, "aspect_ratio": self.aspect_ratio, "resolution": self.resolution}
        return {name: value for name, value in fields.items() if value is not None}
