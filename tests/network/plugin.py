"""A network and IPAM plugin of Docker's protocol, small and real: a bridge a network, a veth pair an endpoint.

    python plugin.py FOLDER SOCKETS NAME [NAME…]

serves SOCKETS/NAME.sock for each name. Each call is a line of FOLDER/calls: {"plugin", "caller", "method", "headers",
"body"}, with the PID of who calls.
FOLDER/faults.json may say {"NetworkDriver.Join": {"status": 500, "body": "text", "seconds": 1}} for what a method
answers instead, and how long it waits unless that is taken back meanwhile; it is read at each call. FOLDER/answers.json
replaces fields of good answers.
FOLDER/taken.json tells which addresses of which pools are taken.
"""

import json
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Any

Body = dict[str, Any]


def ip(*args: str, check: bool = True) -> None:
    subprocess.run(["ip", *args], check=check, capture_output=True, timeout=60)


class Network:
    """NetworkDriver.*; nothing is remembered but gateways: names come from ids."""

    def __init__(self) -> None:
        self.gateways: dict[str, Body] = {}

    def get_capabilities(self, _: Body) -> Body:
        return {"Scope": "local", "ConnectivityScope": "local"}

    def create_network(self, body: Body) -> Body:
        name = bridge(body)
        ip("link", "add", name, "type", "bridge")
        gateways = {}
        for key, data in (("Gateway", body.get("IPv4Data")), ("GatewayIPv6", body.get("IPv6Data"))):
            if data and data[0].get("Gateway"):
                ip("address", "add", data[0]["Gateway"], "dev", name, *(["nodad"] if "6" in key else []))
                gateways[key] = data[0]["Gateway"].partition("/")[0]
        ip("link", "set", name, "up")
        self.gateways[body["NetworkID"]] = gateways
        return {}

    def delete_network(self, body: Body) -> Body:
        ip("link", "delete", bridge(body), check=False)
        return {}

    def create_endpoint(self, body: Body) -> Body:
        outer, inner = ends(body)
        ip("link", "add", outer, "master", bridge(body), "type", "veth", "peer", "name", inner)
        ip("link", "set", outer, "up")
        return {"Interface": {} if body["Interface"]["MacAddress"] else {"MacAddress": mac(body)}}

    def endpoint_oper_info(self, _: Body) -> Body:
        return {"Value": {}}

    def delete_endpoint(self, body: Body) -> Body:
        ip("link", "delete", ends(body)[0], check=False)
        return {}

    def join(self, body: Body) -> Body:
        names = {"SrcName": ends(body)[1], "DstPrefix": "eth"}
        return {"InterfaceName": names, **self.gateways.get(body["NetworkID"], {})}

    def leave(self, _: Body) -> Body:
        return {}

    def program_external_connectivity(self, _: Body) -> Body:
        return {}

    def revoke_external_connectivity(self, _: Body) -> Body:
        return {}


class Ipam:
    """IpamDriver.*: pools 10.213.N.0/24 and fd00:213:N::/64 unless asked for one, addresses in their order."""

    def __init__(self) -> None:
        self.taken: dict[str, set[str]] = {}
        self.given = 0

    def get_capabilities(self, _: Body) -> Body:
        return {}

    def get_default_address_spaces(self, _: Body) -> Body:
        return {"LocalDefaultAddressSpace": "here", "GlobalDefaultAddressSpace": "everywhere"}

    def request_pool(self, body: Body) -> Body:
        number, self.given = self.given, self.given + 1
        pool = body["Pool"] or (f"fd00:213:{number}::/64" if body["V6"] else f"10.213.{number}.0/24")
        identity = f"pool{number}/{pool}"
        self.taken[identity] = set()
        return {"PoolID": identity, "Pool": pool, "Data": {}}

    def release_pool(self, body: Body) -> Body:
        return {} if self.taken.pop(body["PoolID"], None) is not None else {"Error": "no such pool"}

    def request_address(self, body: Body) -> Body:
        taken = self.taken.get(body["PoolID"])
        if taken is None:
            return {"Error": "no such pool"}
        pool = ip_network(body["PoolID"].partition("/")[2])
        wanted = body["Address"] or next(str(each) for each in pool.hosts() if str(each) not in taken)
        if wanted in taken:
            return {"Error": f"{wanted} is taken"}
        taken.add(wanted)
        return {"Address": str(ip_interface(f"{wanted}/{pool.prefixlen}")), "Data": {}}

    def release_address(self, body: Body) -> Body:
        taken = self.taken.get(body["PoolID"])
        if taken is None or body["Address"] not in taken:
            return {"Error": "no such address"}
        taken.discard(body["Address"])
        return {}


def bridge(body: Body) -> str:
    return f"tp{body['NetworkID'][:10]}"


def ends(body: Body) -> tuple[str, str]:
    return f"to{body['EndpointID'][:10]}", f"ti{body['EndpointID'][:10]}"


def mac(body: Body) -> str:
    return "02:77:" + ":".join(body["EndpointID"][at : at + 2] for at in range(0, 8, 2))


class Plugin:
    """What all sockets share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self.subsystems: dict[str, Any] = {"NetworkDriver": Network(), "IpamDriver": Ipam()}

    def answer(self, call: Body) -> tuple[int, bytes]:
        with self.lock, (self.folder / "calls").open("a") as calls:
            calls.write(json.dumps(call) + "\n")
        method, body = call["method"], call["body"]
        fault = self.settings("faults.json").get(method)
        if fault is not None:
            self.wait(method, fault)
            if "body" in fault:
                return fault.get("status", 200), fault["body"].encode()
        with self.lock:
            answer = self.serve(method, body) | self.settings("answers.json").get(method, {})
            self.tell_taken()
        return 200, json.dumps(answer).encode()

    def wait(self, method: str, fault: Body) -> None:
        end = time.monotonic() + fault.get("seconds", 0)
        while time.monotonic() < end and self.settings("faults.json").get(method) == fault:
            time.sleep(0.02)

    def tell_taken(self) -> None:
        ipam = self.subsystems.get("IpamDriver")
        if isinstance(ipam, Ipam):
            taken = {pool: sorted(each) for pool, each in ipam.taken.items()}
            (self.folder / "taken.new").write_text(json.dumps(taken))
            (self.folder / "taken.new").rename(self.folder / "taken.json")

    def settings(self, name: str) -> Body:
        path = self.folder / name
        found: Body = json.loads(path.read_text()) if path.exists() else {}
        return found

    def serve(self, method: str, body: Body) -> Body:
        if method == "Plugin.Activate":
            return {"Implements": list(self.subsystems)}
        subsystem, _, verb = method.partition(".")
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in verb).lstrip("_")
        found: Body = getattr(self.subsystems[subsystem], snake.replace("i_pv6", "ipv6"))(body)
        return found


def caller(connection: socket.socket) -> int:
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def serve(sockets: Path, name: str, plugin: Plugin) -> Path:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            status, data = plugin.answer(
                {
                    "plugin": name,
                    "caller": caller(self.connection),
                    "method": self.path[1:],
                    "headers": dict(self.headers.items()),
                    "body": json.loads(raw) if raw else None,
                }
            )
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.docker.plugins.v1.1+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Calls are recorded elsewhere."""

    path = sockets / f"{name}.sock"
    path.unlink(missing_ok=True)
    threading.Thread(target=Server(str(path), Handler).serve_forever, daemon=True).start()
    return path


if __name__ == "__main__":
    shared = Plugin(Path(sys.argv[1]))
    sockets = [serve(Path(sys.argv[2]), each, shared) for each in sys.argv[3:]]
    print("ready", flush=True)
    sys.stdin.read()
