"""The body of a request as a JSON object."""

from __future__ import annotations

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

BODY_BYTES = 1 << 20
"""The longest body that is read, with a stated length or without."""


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
        not such an object.
    """
    try:
        content = json.loads(await request.body(), parse_constant=_not_finite)
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()  # 1e999; halves of surrogate pairs
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(content, dict):
        raise HTTPException(400, "the body is not a JSON object")
    for name, kind in members.items():
        if type(content.get(name)) is not kind:
            raise HTTPException(400, f"'{name}' is missing or of another type")
    return {name: content[name] for name in members}


def _not_finite(text: str) -> float:
    raise ValueError(text)
