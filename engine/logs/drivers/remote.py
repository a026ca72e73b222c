"""The drivers that send logs, by their names."""

from collections.abc import Mapping

from engine.logs.drivers import fluentd, gelf, journald, syslog
from engine.logs.drivers.target import Driver

REMOTE: Mapping[str, Driver] = {
    "fluentd": fluentd.DRIVER,
    "gelf": gelf.DRIVER,
    "journald": journald.DRIVER,
    "syslog": syslog.DRIVER,
}
