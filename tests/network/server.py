"""A server as a process: answers TCP and UDP with its name; a TCP connection is answered line by line."""

import selectors
import socket
import sys


def main(name: str, port: int) -> None:
    tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind(("0.0.0.0", port))
    tcp.listen(256)
    udp.bind(("0.0.0.0", port))
    waiting = selectors.DefaultSelector()
    waiting.register(tcp, selectors.EVENT_READ)
    waiting.register(udp, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in waiting.select():
            ready = key.fileobj
            assert isinstance(ready, socket.socket)
            if ready is tcp:
                waiting.register(tcp.accept()[0], selectors.EVENT_READ)
            elif ready is udp:
                data, peer = udp.recvfrom(65535)
                udp.sendto(f"{name} ".encode() + data, peer)
            else:
                answer(name, ready, waiting)


def answer(name: str, connection: socket.socket, waiting: selectors.BaseSelector) -> None:
    try:
        data = connection.recv(65535)
        if data:
            connection.sendall(f"{name} ".encode() + data)
            return
    except OSError:
        pass
    waiting.unregister(connection)
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
