"""Encode a form with one file as bytes (RFC 7578)."""

import secrets
from collections.abc import Mapping


def encode_form(fields: Mapping[str, str], *, file_field: str, file_name: str, content: bytes) -> tuple[str, bytes]:
    """Return the content type and the body. The random boundary is replaced until it does not occur in the content."""
    boundary = secrets.token_hex(16)
    while boundary.encode() in content:
        boundary = secrets.token_hex(16)
    parts = [_part(boundary, f'name="{name}"', value.encode()) for name, value in fields.items()]
    parts.append(_part(boundary, f'name="{file_field}"; filename="{_quoted(file_name)}"', content))
    return f"multipart/form-data; boundary={boundary}", b"".join([*parts, f"--{boundary}--\r\n".encode()])


def _part(boundary: str, disposition: str, content: bytes) -> bytes:
    return f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"


def _quoted(name: str) -> str:
    """Escape the three characters that would end the quotes or the line, as browsers do."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
