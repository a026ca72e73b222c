"""YAML without aliases: what refers to itself grows without end. Its library is loaded with this module alone."""

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not supported")
        return super().compose_node(parent, index)


def load(content: bytes) -> Any:
    """The one document in it; ValueError telling what is wrong."""
    try:
        return yaml.load(content, _Loader)  # noqa: S506 - it is a safe one
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
    ) as error:  # the library's own, of "!!int" and the like
        raise ValueError("a value is not what its tag says") from error
