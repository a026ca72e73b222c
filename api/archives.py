"""Archives as answers: streamed as they are made, never held."""

import contextlib
from collections.abc import AsyncIterator, Mapping

from api import web
from api.call import Call
from api.connection import Taken
from api.lasting import while_connected

TAR = "application/x-tar"


async def send(
    call: Call,
    chunks: AsyncIterator[bytes],
    content_type: str = TAR,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Answer with chunks. What fails before the first one is told by status; later the connection breaks.

    The source is closed in any case, also when the client goes.
    """
    response: web.StreamResponse | None = None
    async with contextlib.aclosing(chunks) as source:  # type: ignore[type-var]
        with while_connected(call.request):
            async for chunk in source:
                if response is None:
                    response = await call.stream(content_type, headers)
                await response.write(chunk)
    return response or Taken()
