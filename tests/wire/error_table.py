"""The meaning of each code of the provider, written by hand: used by the tests and for the table in the README."""

import attrs

from veo_async import errors


@attrs.frozen
class Row:
    """One code, or one message of a code that has many meanings."""

    code: int
    error: type[errors.ApiError]
    #: For readers: whether the same request may be sent again.
    again: str
    #: For readers: what to do.
    advice: str
    #: The provider's message, if the message decides; else None.
    sentence: str | None = None


#: The documented codes of each endpoint besides 200, and, marked, those that users report beyond the list.
DOCUMENTED: dict[str, tuple[int, ...]] = {
    "generate": (400, 401, 402, 404, 422, 429, 455, 500, 501, 505),
    "extend": (400, 401, 402, 404, 422, 429, 455, 500, 501, 505),
    "record-info": (400, 401, 404, 422, 429, 451, 455, 500),  # 429: reported by users while polling
    "get-1080p-video": (400, 401, 404, 422, 429, 451, 455, 500),  # 400: documented under generate, by mistake
    "get-4k-video": (401, 404, 422, 429, 451, 455, 500),
    "create-task": (400, 401, 402, 404, 408, 422, 429, 433, 455, 500, 501, 505),
    "job-record": (400, 401, 404, 422, 429, 455, 500),
    "credit": (401, 402, 404, 422, 429, 455, 500, 505),
    "download-url": (401, 402, 404, 422, 429, 455, 500, 505),
    "models": (401, 404, 422, 429, 455, 500),
    "model-price": (401, 404, 422, 429, 455, 500),
    "model-success-rate": (401, 404, 422, 429, 455, 500),
    "model-schema": (401, 404, 422, 429, 455, 500),
    "file-url-upload": (400, 401, 405, 500),
    "file-base64-upload": (400, 401, 405, 500),
    "file-stream-upload": (400, 401, 405, 500),
}

#: Codes that are not documented for an endpoint, but that any endpoint can return.
ANYWHERE = (403, 408, 413, 433)

#: The same for every endpoint, unless a message decides otherwise.
CODES: tuple[Row, ...] = (
    Row(400, errors.RequestRejected, "no", "change the request"),
    Row(401, errors.Unauthorized, "no", "check the key and the base URL"),
    Row(402, errors.InsufficientCredits, "no", "top up, then retry"),
    Row(403, errors.Blocked, "no", "check the key's IP allowlist and the User-Agent"),
    Row(404, errors.NotFound, "no", "check the task id and that it belongs to this account"),
    Row(405, errors.RequestRejected, "no", "change the request"),
    Row(408, errors.ServerError, "reads only", "retry a read; a creating request may have been charged"),
    Row(413, errors.RequestRejected, "no", "send a smaller file"),
    Row(422, errors.RequestRejected, "no", "change the request"),
    Row(429, errors.RateLimited, "yes", "wait for `retry_after`, else 10 s: it was rejected, not queued"),
    Row(433, errors.KeyLimitReached, "no", "raise the key's own spending limit, or wait until it resets"),
    Row(451, errors.ImageUnreachable, "no", "use a public image URL, or upload the image"),
    Row(455, errors.Maintenance, "yes", "wait some minutes; running tasks are not affected"),
    Row(500, errors.ServerError, "reads only", "retry a read; a creating request may have been charged"),
    Row(501, errors.ServerError, "reads only", "retry a read; a creating request may have been charged"),
    Row(505, errors.FeatureDisabled, "no", "use another model or feature"),
)

_NOT_READY = "try again in 30 s: it is being processed"
_REWORD = "reword the prompt, change the image, or try another seed"

#: Messages that decide at every endpoint.
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
            "use a public image URL, or upload the image",
            "Failed to fetch the image. Kindly verify any access limits set by you or your service provider.",
        ),
        (errors.RecordNotFound, "yes", "retry for a minute: a new record appears with a delay", "record is null."),
        (errors.RecordNotFound, "yes", "retry for a minute: a new record appears with a delay", "recordInfo is null"),
        (
            errors.RecordExpired,
            "no",
            "the provider has deleted the record",
            "Temporarily supports records within 14 days.",
        ),
        (errors.RequestRejected, "no", "change the request", "Only English prompts are supported at this time."),
    )
)

#: Messages that decide at the endpoints that report "not ready" as an error.
STATES: tuple[Row, ...] = tuple(
    Row(code, errors.NotReady, "yes", _NOT_READY, sentence)
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
    """Return the README's table: every code once, then the messages of 400 and 422."""
    lines = ["| code | error | try again? | what to do |", "|---|---|---|---|"]
    lines += [_line(str(row.code), row) for row in CODES]
    seen: set[type[errors.ApiError]] = set()
    for row in (*STATES, *SENTENCES):
        if row.error not in seen and row.error is not errors.RequestRejected:
            seen.add(row.error)
            lines.append(_line(f"400, 422: “{_shortened(row.sentence or '')}”", row))
    lines.append(_line("any other", Row(0, errors.ServerError, "reads only", "retry a read; please report the code")))
    return "\n".join(lines) + "\n"


def _line(code: str, row: Row) -> str:
    return f"| {code} | `{row.error.__name__}` | {row.again} | {row.advice} |"


def _shortened(sentence: str) -> str:
    first, _, rest = sentence.partition(". ")
    return f"{first}. …" if rest else first
