"""How many questions about names of containers are answered, and how long one takes."""

import subprocess
import sys
from pathlib import Path

from tests.bench.client import WrongSample
from tests.bench.contest import Contest

FLOOD = Path(__file__).parent.parent / "dns_flood.py"
SECONDS = 1.0
WINDOW = 64
NETWORK = "bench-dns"
NAME = "bench-dns-asked"


def measure(contest: Contest) -> None:
    """A container that asks for another's name: many questions at a time, then one after the other."""
    asking: dict[str, int] = {}
    made = []
    for contender in contest.contenders:
        client = contender.client
        client.call("POST", "networks/create", {"Name": NETWORK})
        asked = client.create("sleep", "1000", network=NETWORK)
        client.raw("POST", f"containers/{asked}/rename?name={NAME}")
        client.start(asked)
        asker = client.sleeping(network=NETWORK)
        asking[contender.name] = client.inspect(asker)["State"]["Pid"]
        made.append((client, (asked, asker)))
    for turn in contest.turns(0.25):
        for contender in turn:
            rate = flood(asking[contender.name], WINDOW)
            turn.note("dns", contender, rate)
            turn.note("dns-one", contender, 1000 / flood(asking[contender.name], 1))
    for client, containers in made:
        for container in containers:
            client.remove(container)
        client.raw("DELETE", f"networks/{NETWORK}")


def flood(pid: int, window: int) -> float:
    """Answers a second. Errors: WrongSample."""
    argv = [f"--net=/proc/{pid}/ns/net", sys.executable, "-I", str(FLOOD), NAME, str(SECONDS), str(window)]
    done = subprocess.run(["nsenter", *argv], capture_output=True, text=True)
    if done.returncode:
        raise WrongSample(f"flood of DNS questions: {done.stderr.strip()[-200:]}")
    return float(done.stdout)
