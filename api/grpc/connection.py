"""An HTTP/2 connection on a transport that was taken over: the server's end or, where roles are reversed, the client's.

h2 has the protocol's states, its decoder bounds headers and CONTINUATION frames; what is here bounds the rest: streams,
windows, control frames (`bounds`), and what piles up for a peer that does not read.
"""

import asyncio
import logging
from collections.abc import Callable, MutableMapping, Sequence
from typing import Final

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame

from api.grpc import frames
from api.grpc.bounds import SETTINGS_COST, Allowance, Flood
from api.grpc.stream import Stream
from api.http_server import Idle
from api.preface import PREFACE

_log = logging.getLogger(__name__)
logging.getLogger("hpack").setLevel(logging.INFO)  # it tells each header that goes by
# h2 has every frame described to a log that there is not, data in hexadecimal: half of the time that a frame takes.
Frame.__repr__ = object.__repr__  # type: ignore[method-assign]

MAX_STREAMS: Final = 512  # at a time; clients wait for one to end
_MAX_HEADERS: Final = 64 * 1024  # bytes, decoded
_STREAM_WINDOW: Final = 2 << 20  # bytes that come before somebody reads
_CONNECTION_WINDOW: Final = 8 << 20
_AT_ONCE: Final = 64 * 1024  # bytes of data that wait for the end of a turn at most
_MAX_UNSENT: Final = 1 << 20  # bytes that a peer which does not read is owed; data waits long before


class Http2(asyncio.Protocol):
    """One connection. `accept` is given each stream that the peer opens, None in the client's role.

    `closed` is set once the connection has ended, whoever ended it, and `lost` called; streams then fail with
    ConnectionResetError. While it has no stream it is in `idle`, if that is given, with the loop's time since when.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        accept: Callable[[Stream], None] | None = None,
        lost: Callable[[BaseException | None], None] | None = None,
        idle: MutableMapping[Idle, float] | None = None,
    ) -> None:
        self._lost = lost
        self._idle: MutableMapping[Idle, float] = {} if idle is None else idle
        self._transport = transport
        self._accept = accept
        self._h2 = _state(client=accept is None)
        self._streams: dict[int, Stream] = {}
        self._writable = asyncio.Event()
        self._writable.set()
        self._allowance = Allowance(asyncio.get_running_loop().time)
        self._frames = frames.Frames(len(PREFACE) if accept is not None else 0)
        self._flushing: asyncio.Handle | None = None
        self._pending = 0  # bytes of data that wait for it
        self.closed = asyncio.Event()

    def begin(self, early: bytes) -> None:
        """Say who we are, and take what came before."""
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW - self._h2.inbound_flow_control_window)
        self.flush()
        self._rest()
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        """Frames of the peer."""
        if self.closed.is_set():
            return
        try:
            for number, part in self._frames.feed(data):
                if not number or not self._take_plainly(number, part):
                    self._take(frames.whole(number, part) if number else part)
        except frames.TooLarge:
            _log.debug("a frame that is too large")
            self._h2.close_connection(ErrorCodes.FRAME_SIZE_ERROR)
            self.end()
        except Flood:
            _log.warning("a client floods its connection with control frames: it is closed")
            self._h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self.end()
        except (H2Error, ValueError, LookupError) as error:
            _log.debug("no HTTP/2 as it should be: %r", error)
            self.end()
        else:
            self.flush()

    def _take_plainly(self, number: int, data: bytes) -> bool:
        """Give a stream its data if nothing else is to be seen to."""
        stream = self._streams.get(number)
        if stream is None or not stream.takes_data or not frames.consume(self._h2, number, len(data)):
            return False
        stream.data(data, len(data))
        return True

    def _take(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            self._allowance.spend(_cost(event))
            self._dispatch(event)

    @property
    def asks(self) -> bool:
        """Whether a call is under way."""
        return bool(self._streams)

    def force_close(self) -> None:
        """End it, and tell the peer that it may begin anew."""
        self._h2.close_connection()
        self.end()

    def _rest(self) -> None:
        """Be idle."""
        self._idle[self] = asyncio.get_running_loop().time()

    def pause_writing(self) -> None:
        """The peer does not read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._writable.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has ended: so do its streams."""
        self.closed.set()
        self._idle.pop(self, None)
        self._writable.set()
        for stream in list(self._streams.values()):
            stream.lose(ConnectionResetError("the client has gone"))
        self._streams.clear()
        if self._lost is not None:
            self._lost(exc)

    def open(self, headers: Sequence[tuple[str, str]]) -> Stream:
        """Begin a stream. ConnectionResetError when the peer has gone or takes no more."""
        self._require_open()
        try:
            number = self._h2.get_next_available_stream_id()
            self._h2.send_headers(number, headers)
        except H2Error as error:
            raise ConnectionResetError(f"the client takes no more calls: {error}") from error
        stream = self._streams[number] = Stream(self, self._h2, number, [])
        self.flush()
        return stream

    def forget(self, number: int) -> None:
        """A stream is done with."""
        if self._streams.pop(number, None) and not self._streams and not self.closed.is_set():
            self._rest()

    def flush(self) -> None:
        """Send what there is to be sent, at the end of this turn of the loop: much of it comes in small pieces."""
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send it now; a peer that lets it pile up is let go."""
        if self._flushing is not None:
            self._flushing.cancel()
        self._flushing, self._pending = None, 0
        data = self._h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)
        if self._transport.get_write_buffer_size() > _MAX_UNSENT:
            _log.warning("a client does not read what it asks for: its connection is closed")
            self._transport.abort()

    async def writable(self) -> None:
        """Wait until the peer reads. ConnectionResetError once it has gone."""
        await self._writable.wait()
        self._require_open()

    def sent_data(self, size: int) -> None:
        """So many bytes of data are to go out."""
        self._allowance.earn(size)
        self._pending += size
        if self._pending < _AT_ONCE:
            self.flush()
        else:
            self._flush()

    def end(self) -> None:
        """Close, after what is to be said yet."""
        if not self._transport.is_closing():
            self._transport.write(self._h2.data_to_send())
            self._transport.close()

    def _require_open(self) -> None:
        if self.closed.is_set() or self._transport.is_closing():
            raise ConnectionResetError("the client has gone")

    def _dispatch(self, event: events.Event) -> None:
        number = getattr(event, "stream_id", None)
        if isinstance(event, events.RequestReceived) and self._accept is not None:
            stream = Stream(self, self._h2, event.stream_id, _texts(event.headers))
            self._streams[event.stream_id] = stream
            self._idle.pop(self, None)
            self._accept(stream)
        elif isinstance(event, events.DataReceived) and number not in self._streams:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif number in self._streams:
            _tell(self._streams[number], event)
        elif isinstance(event, events.RemoteSettingsChanged) or number == 0:
            for stream in self._streams.values():
                stream.window_opened()
        elif isinstance(event, events.ConnectionTerminated):
            _log.debug("the peer ends its connection: %s", event.error_code)
            self.end()


def _tell(stream: Stream, event: events.Event) -> None:
    match event:
        case events.DataReceived():
            stream.data(event.data, event.flow_controlled_length)
        case events.ResponseReceived():
            stream.response(_texts(event.headers))
        case events.TrailersReceived():
            stream.trailers_came(_texts(event.headers))
        case events.StreamEnded():
            stream.ended()
        case events.StreamReset():
            stream.reset_came(int(event.error_code))
        case events.WindowUpdated():
            stream.window_opened()


def _cost(event: events.Event) -> float:
    match event:
        case events.DataReceived():
            return 0.0 if event.data else 1.0
        case events.RemoteSettingsChanged():
            return SETTINGS_COST
        case (
            events.StreamReset()
            | events.PingReceived()
            | events.PriorityUpdated()
            | events.WindowUpdated()
            | events.UnknownFrameReceived()
        ):
            return 1.0
    return 0.0


def _texts(headers: Sequence[tuple[bytes | str, bytes | str]]) -> list[tuple[str, str]]:
    return [(_text(name), _text(value)) for name, value in headers]


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _state(*, client: bool) -> H2Connection:
    state = H2Connection(H2Configuration(client_side=client, header_encoding=None))
    state.local_settings = Settings(
        client=client,
        initial_values={
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.MAX_CONCURRENT_STREAMS: 0 if client else MAX_STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: _MAX_HEADERS,
            SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
        },
    )
    return state
