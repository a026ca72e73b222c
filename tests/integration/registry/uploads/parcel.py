"""The blob that is sent into registries, and who is known to them."""

import random
from collections.abc import Callable, Coroutine
from typing import Any

from engine.registry.credentials import Credentials
from tests.registries import PASSWORD, USER, digest_of

KNOWN = Credentials(USER, PASSWORD)
BLOB = random.Random(7).randbytes(8 << 20)
DIGEST = digest_of(BLOB)
Send = Callable[..., Coroutine[Any, Any, list[str]]]
