"""One stream of an HTTP/2 connection: bytes in both directions, each with its window, and headers around them."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import H2Error, StreamClosedError

if TYPE_CHECKING:
    from api.grpc.connection import Http2

Headers = list[tuple[str, str]]

_FRAME: Final = 64 * 1024  # bytes: however much a peer takes at once, what is queued for it stays small
_LITTLE: Final = 4096  # bytes; a piece by itself takes more memory than is in it


class Stream:
    """A stream. What has come is given back to the peer's window as it is read, so that it never has more in flight.

    `headers` are the peer's first, `trailers` its last; both are there once `read` has said that the data has ended.
    """

    def __init__(self, connection: "Http2", state: H2Connection, number: int, headers: Headers) -> None:
        self._connection = connection
        self._h2 = state
        self.number = number
        self.headers = headers
        self._is_open = _is_open(headers)
        self.trailers: Headers = []
        self.error: ConnectionResetError | None = None
        self._data: list[bytes] = []
        self._unread = 0  # bytes of the peer's window, padding with them
        self._input_ended = False
        self._output_ended = False
        self._arrived = asyncio.Event()
        self._window = asyncio.Event()
        self.on_lost: Callable[[], object] | None = None
        """Called once when it breaks off."""

    @property
    def takes_data(self) -> bool:
        """Whether data may come that nobody else counts."""
        return self._is_open and not self._input_ended and self.error is None

    async def read(self) -> list[bytes]:
        """All that has come, in pieces, [] at the end. ConnectionResetError when it broke off."""
        while not self._data:
            if self._input_ended:
                return []
            if self.error is not None:
                raise self.error
            self._arrived.clear()
            await self._arrived.wait()
        data = self._data.copy()
        self._give_back()
        return data

    async def write(self, data: bytes) -> None:
        """Send; waits for the peer's window. ConnectionResetError when the peer takes no more."""
        view = memoryview(data)
        while view:
            await self._connection.writable()
            self._require_open()
            room = self._room()
            if not room:
                self._window.clear()
                await self._window.wait()
                continue
            part, view = bytes(view[:room]), view[room:]
            self._send(self._h2.send_data, self.number, part)
            self._connection.sent_data(len(part))

    def send_headers(self, headers: Sequence[tuple[str, str]], *, end: bool = False) -> None:
        """The first headers of an answer, or those after its data."""
        self._require_open()
        self._output_ended = self._output_ended or end
        self._send(self._h2.send_headers, self.number, headers, end)
        self._connection.flush()

    def end(self) -> None:
        """Nothing more will be sent."""
        if not self._output_ended and self.error is None:
            self._output_ended = True
            self._send(self._h2.end_stream, self.number)
            self._connection.flush()

    def close(self) -> None:
        """Done with it: what is unread is given back, and a peer that is not done is told so."""
        self._give_back()
        whole = self._input_ended and self._output_ended
        if not whole and self.error is None and not self._connection.closed.is_set():
            code = ErrorCodes.NO_ERROR if self._output_ended else ErrorCodes.CANCEL
            with contextlib.suppress(ConnectionResetError):  # it has ended meanwhile
                self._send(self._h2.reset_stream, self.number, code)
            self._connection.flush()
        self._connection.forget(self.number)

    def data(self, data: bytes, size: int) -> None:
        """Came from the peer; `size` with its padding."""
        if not data:
            self._return(size)
            return
        self._unread += size
        if self._data and len(data) + len(self._data[-1]) < _LITTLE:
            self._data[-1] += data
        else:
            self._data.append(data)
        self._arrived.set()

    def response(self, headers: Headers) -> None:
        """The peer's first headers."""
        self.headers = headers
        self._is_open = _is_open(headers)

    def trailers_came(self, headers: Headers) -> None:
        """Those after its data."""
        self.trailers = headers

    def ended(self) -> None:
        """The peer sends nothing more."""
        self._input_ended = True
        self._arrived.set()

    def reset_came(self, code: int) -> None:
        """The peer breaks off; after its last word it merely wants no more of ours."""
        if code == ErrorCodes.NO_ERROR and self._input_ended:
            self._output_ended = True
        self.lose(ConnectionResetError("the call was cancelled by the client"))

    def lose(self, error: ConnectionResetError) -> None:
        """Broken, by the peer or with its connection. What came before can still be read."""
        self.error = error
        self._arrived.set()
        self._window.set()
        if self.on_lost is not None:
            self.on_lost()

    def window_opened(self) -> None:
        """The peer takes more."""
        self._window.set()

    def _give_back(self) -> None:
        size, self._unread = self._unread, 0
        self._data.clear()
        self._return(size)

    def _return(self, size: int) -> None:
        if size and not self._connection.closed.is_set():
            self._h2.acknowledge_received_data(size, self.number)
            self._connection.flush()

    def _room(self) -> int:
        try:
            window = self._h2.local_flow_control_window(self.number)
        except StreamClosedError as error:
            raise ConnectionResetError("the call has ended") from error
        return max(0, min(window, self._h2.max_outbound_frame_size, _FRAME))

    def _require_open(self) -> None:
        if self.error is not None:
            raise self.error

    def _send(self, sending: Callable[..., None], *arguments: object) -> None:
        try:
            sending(*arguments)
        except H2Error as error:
            raise ConnectionResetError(f"the call has ended: {error}") from error


def _is_open(headers: Headers) -> bool:
    """Whether these came, and as much data may follow as there is."""
    return bool(headers) and all(name != "content-length" for name, _ in headers)
