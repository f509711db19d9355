"""What each code of the provider means, written by hand: it drives the tests and the table in the README.

Nothing here is computed from the code under test; a code that changes its class must be changed here as well.
"""

import attrs

from veo_async import errors


@attrs.frozen
class Row:
    """One code, or one sentence of a code that has many meanings."""

    code: int
    error: type[errors.ApiError]
    #: For a reader: may the same call be sent again?
    again: str
    #: For a reader: what to do.
    advice: str
    #: How the provider words it, where the wording decides; else None.
    sentence: str | None = None


#: Which codes each endpoint's pages list, besides 200; and, marked, those that users met beyond the list.
DOCUMENTED: dict[str, tuple[int, ...]] = {
    "generate": (400, 401, 402, 404, 422, 429, 455, 500, 501, 505),
    "extend": (400, 401, 402, 404, 422, 429, 455, 500, 501, 505),
    "record-info": (400, 401, 404, 422, 429, 451, 455, 500),  # 429: met while polling
    "get-1080p-video": (400, 401, 404, 422, 429, 451, 455, 500),  # 400: listed by a slip under generate
    "get-4k-video": (401, 404, 422, 429, 451, 455, 500),
    "credit": (401, 402, 404, 422, 429, 455, 500, 505),
    "download-url": (401, 402, 404, 422, 429, 455, 500, 505),
    "file-url-upload": (400, 401, 405, 500),
    "file-base64-upload": (400, 401, 405, 500),
    "file-stream-upload": (400, 401, 405, 500),
}

#: Codes that no page lists for the endpoint, but that can come from any of them.
ANYWHERE = (403, 408, 413, 433)

#: The same for every endpoint, as long as no sentence says otherwise.
CODES: tuple[Row, ...] = (
    Row(400, errors.RequestRejected, "no", "change the request"),
    Row(401, errors.Unauthorized, "no", "check the key and the address it is sent to"),
    Row(402, errors.InsufficientCredits, "no", "top up, then go on"),
    Row(403, errors.Blocked, "no", "check the key's IP whitelist and the User-Agent"),
    Row(404, errors.NotFound, "no", "check the task id, and whose account made it"),
    Row(405, errors.RequestRejected, "no", "change the request"),
    Row(408, errors.ServerError, "reads only", "look again; look for the task before creating again"),
    Row(413, errors.RequestRejected, "no", "send a smaller file"),
    Row(422, errors.RequestRejected, "no", "change the request"),
    Row(429, errors.RateLimited, "yes", "wait for `retry_after`, else 10 s: it was refused, not queued"),
    Row(433, errors.KeyLimitReached, "no", "raise the key's own spending cap, or wait until it renews"),
    Row(451, errors.ImageUnreachable, "no", "give a public image URL, or upload the image first"),
    Row(455, errors.Maintenance, "yes", "wait some minutes; running tasks go on"),
    Row(500, errors.ServerError, "reads only", "look again; look for the task before creating again"),
    Row(501, errors.ServerError, "reads only", "look again; look for the task before creating again"),
    Row(505, errors.FeatureDisabled, "no", "use another model or feature"),
)

_NOT_YET = "ask again in 30 s: it is being made"
_REWORD = "reword the prompt or change the image; another seed may pass"

#: Where the wording decides, at every endpoint.
SENTENCES: tuple[Row, ...] = tuple(
    Row(code, error, again, advice, sentence)
    for code in (400, 422)
    for error, again, advice, sentence in (
        (errors.ContentRefused, "no", _REWORD, "Your prompt was flagged by Website as violating content policies."),
        (errors.ContentRefused, "no", _REWORD, "Your request was rejected by Flow(public error minor upload)."),
        (errors.ContentRefused, "no", _REWORD, "public error unsafe image upload."),
        (errors.ContentRefused, "no", _REWORD, "Rejected by Google's content policy (prominent people upload)"),
        (
            errors.ImageUnreachable,
            "no",
            "give a public image URL, or upload the image first",
            "Failed to fetch the image. Kindly verify any access limits set by you or your service provider.",
        ),
        (errors.RecordNotFound, "yes", "look again for a minute: a new record appears late", "record is null."),
        (errors.RecordNotFound, "yes", "look again for a minute: a new record appears late", "recordInfo is null"),
        (
            errors.RecordExpired,
            "no",
            "the provider has forgotten the task",
            "Temporarily supports records within 14 days.",
        ),
        (errors.RequestRejected, "no", "change the request", "Only English prompts are supported at this time."),
    )
)

#: Where the wording decides at the endpoints that answer "not yet" in the guise of an error.
STATES: tuple[Row, ...] = tuple(
    Row(code, errors.NotReady, "yes", _NOT_YET, sentence)
    for code, sentence in (
        (400, "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly."),
        (422, "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly."),
        (422, "4k is processing. It should be ready in 5-10 minutes. Please check back shortly."),
        (422, "record status is not success."),
        (422, "record result data is blank."),
        (422, "record result data not exist."),
        (422, "record result data is empty."),
    )
)
WITH_STATES = ("record-info", "get-1080p-video", "get-4k-video")


def as_markdown() -> str:
    """The README's table: every code once, then what the sentences of 400 and 422 make of it."""
    lines = ["| code | error | try again? | what to do |", "|---|---|---|---|"]
    lines += [_line(str(row.code), row) for row in CODES]
    told: set[type[errors.ApiError]] = set()
    for row in (*STATES, *SENTENCES):
        if row.error not in told and row.error is not errors.RequestRejected:
            told.add(row.error)
            lines.append(_line(f"400, 422: “{_shortened(row.sentence or '')}”", row))
    lines.append(_line("any other", Row(0, errors.ServerError, "reads only", "look again; tell us of the code")))
    return "\n".join(lines) + "\n"


def _line(code: str, row: Row) -> str:
    return f"| {code} | `{row.error.__name__}` | {row.again} | {row.advice} |"


def _shortened(sentence: str) -> str:
    first, _, rest = sentence.partition(". ")
    return f"{first}. …" if rest else first
