"""The daemon's own log on stderr: key=value lines as dockerd's, or JSON."""

import json
import logging
import sys
import time
from typing import Literal

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
_NAMES = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "fatal",
}
_NOISY = ("asyncio", "aiohttp.server", "aiohttp.access")


class _Formatter(logging.Formatter):
    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": _NAMES.get(record.levelno, record.levelname.lower()),
            "msg": record.getMessage(),
            "module": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            fields["error"] = self.formatException(record.exc_info)
        return fields


class TextFormatter(_Formatter):
    """`time="…" level=info msg="…" module=…`, one line a record."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        fields = self._fields(record)
        return " ".join(f"{name}={_quoted(value)}" for name, value in fields.items())


class JSONFormatter(_Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        return json.dumps(self._fields(record), ensure_ascii=False)


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Log to stderr from now on; calling it again changes the level and the form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(LEVELS[level], logging.WARNING))


def _quoted(value: str) -> str:
    plain = value.replace("_", "").replace(".", "").replace("-", "")
    return value if plain.isalnum() and plain.isascii() else json.dumps(value, ensure_ascii=False)
