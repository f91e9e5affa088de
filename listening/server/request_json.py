"""The body of a request as a JSON object."""

from __future__ import annotations

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

_BODY_BYTES = 1 << 20


async def json_object(request: Request, **members: type) -> dict[str, Any]:
    """Read the body of a request.

    Parameters
    ----------
    request
        Its content type does not matter: a page that is being closed can send text only.
    members
        What the object must have, name and type; more is left out.

    Raises
    ------
    HTTPException
        400, if the body is not valid JSON in UTF-8 (numbers that are not finite are none, RFC 8259, clause 6), or
        not such an object; 413, if it is longer than 1 MiB, whether its length was stated or not.
    """
    try:
        content = json.loads(await _body(request), parse_constant=_not_finite)
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()  # 1e999; halves of surrogate pairs
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(content, dict):
        raise HTTPException(400, "the body is not a JSON object")
    for name, kind in members.items():
        if type(content.get(name)) is not kind:
            raise HTTPException(400, f"'{name}' is missing or of another type")
    return {name: content[name] for name in members}


async def _body(request: Request) -> bytes:
    if int(request.headers.get("content-length", "0")) > _BODY_BYTES:
        raise HTTPException(413)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _BODY_BYTES:
            raise HTTPException(413)
    return bytes(body)


def _not_finite(text: str) -> float:
    raise ValueError(text)
