"""Counters of interfaces."""

from network import counters

TEXT = """Inter-|  Receive  |  Transmit
 face |bytes  packets errs drop fifo frame compressed multicast|bytes  packets errs drop fifo colls carrier comp
  lo:  5  1  0  0  0  0  0  0  5  1  0  0  0  0  0  0
  eth0:  396  4  1  2  0  0  0  0  70  3  5  6  0  0  0  0
eth0:1: 1 2 3
"""


def test_parse() -> None:
    found = counters.parse(TEXT)
    assert set(found) == {"lo", "eth0"}
    eth0 = found["eth0"]
    assert (eth0.rx_bytes, eth0.rx_packets, eth0.rx_errors, eth0.rx_dropped) == (396, 4, 1, 2)
    assert (eth0.tx_bytes, eth0.tx_packets, eth0.tx_errors, eth0.tx_dropped) == (70, 3, 5, 6)


def test_a_process_that_is_gone_has_none() -> None:
    assert counters.read(2**22 + 1) == {}
