"""The netlink codec is loaded by itself."""

import subprocess
import sys

CODE = """
import sys
before = set(sys.modules)
import network.messages
assert "pyroute2" not in sys.modules
network.messages.link(1)
loaded = [name for name in set(sys.modules) - before if name.startswith("pyroute2")]
print(len(loaded), "pyroute2.iproute" in sys.modules, "unittest" in sys.modules)
"""


def test_the_rest_of_the_package_is_not_loaded() -> None:
    done = subprocess.run([sys.executable, "-I", "-c", CODE], capture_output=True, text=True, check=True)
    number, *others = done.stdout.split()
    assert int(number) < 40
    assert others == ["False", "False"]
