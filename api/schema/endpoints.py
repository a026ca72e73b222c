"""A container's place in a network as requests have it: what is asked, and what only answers are to tell."""

import msgspec

from engine.containers.config import EndpointConfig, NetworkingConfig


class EndpointSettings(EndpointConfig):
    """All fields of the API's `EndpointSettings`, for those that are passed over are to be of their types, too."""

    endpoint_id: str = ""
    gateway: str = ""
    ip_address: str = ""
    ip_prefix_len: int = 0
    ipv6_gateway: str = ""
    global_ipv6_address: str = ""
    global_ipv6_prefix_len: int = 0
    dns_names: list[str] | None = msgspec.field(default=None, name="DNSNames")

    def asked(self) -> EndpointConfig:
        """The half that counts."""
        return EndpointConfig(**{name: getattr(self, name) for name in EndpointConfig.__struct_fields__})


class NetworkingSettings(msgspec.Struct, rename="pascal"):
    """The `NetworkingConfig` of a create request."""

    endpoints_config: dict[str, EndpointSettings | None] | None = None

    def asked(self) -> NetworkingConfig:
        """The half that counts."""
        if self.endpoints_config is None:
            return NetworkingConfig()
        asked = {name: each.asked() if each else None for name, each in self.endpoints_config.items()}
        return NetworkingConfig(endpoints_config=asked)
