"""A client that asks the embedded DNS for a name, many questions at a time: prints how many answers a second came.

Runs inside the container's network namespace: dns_flood.py NAME SECONDS WINDOW
"""

import socket
import struct
import sys
import time

SERVER = ("127.0.0.11", 53)
A_TURN = 64
LOST_SECONDS = 1.0


def question(name: str) -> bytes:
    """The query for the name's IPv4 address."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def is_right(answer: bytes) -> bool:
    """No error, and at least one record."""
    return len(answer) > 12 and answer[3] & 15 == 0 and answer[6:8] != b"\0\0"


def flood(name: str, seconds: float, window: int) -> float:
    """Answers a second. Errors: SystemExit for a wrong one, or none."""
    request = question(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(LOST_SECONDS)
        client.connect(SERVER)
        for _ in range(window):
            client.send(request)
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            for _ in range(A_TURN):
                if not is_right(client.recv(4096)):
                    sys.exit("a wrong answer")
                client.send(request)
            count += A_TURN
        return count / (time.perf_counter() - began)


if __name__ == "__main__":
    print(flood(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
