"""Inside the virtual machine: take commands from the virtio port and answer them, one JSON object a line.

A request is {"id", "command", "timeout"}, an answer {"id", "code", "output"}; code is 124 after a timeout.
Standard library only: the machine has nothing else before wherry is installed.
"""

import json
import os
import subprocess

PORT = "/dev/virtio-ports/agent"


def run(command: str, timeout: float) -> tuple[int, str]:
    """Run a shell command and return its exit code and what it printed."""
    try:
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as slow:
        return 124, (slow.output or b"").decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace")


def serve() -> None:
    """Answer until the port is gone."""
    port = os.open(PORT, os.O_RDWR)
    pending = b""
    while True:
        if not (data := os.read(port, 65536)):
            # Nobody is connected on the host's side.
            subprocess.run(["sleep", "0.2"])
            continue
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            code, output = run(request["command"], request["timeout"])
            answer = json.dumps({"id": request["id"], "code": code, "output": output}) + "\n"
            rest = answer.encode()
            while rest:
                rest = rest[os.write(port, rest) :]


if __name__ == "__main__":
    serve()
