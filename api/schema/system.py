"""What the engine tells of itself, by API version."""

from typing import Any

from api.versions import Version

_SINCE = {
    "1.46": ("Containerd",),
    "1.49": ("FirewallBackend",),
    "1.50": ("DiscoveredDevices",),
    "1.53": ("NRI",),
}
_COMMITS = ("ContainerdCommit", "RuncCommit", "InitCommit")


def info(shown: dict[str, Any], version: Version) -> dict[str, Any]:
    """The answer of `GET /info` as a version knows it; `shown` is that of the newest."""
    shown = dict(shown)
    for since, fields in _SINCE.items():
        if version.before(since):
            for field in fields:
                shown.pop(field, None)
    if version.before("1.44") and "Runtimes" in shown:
        shown["Runtimes"] = {
            name: {key: value for key, value in runtime.items() if key != "status"}
            for name, runtime in shown["Runtimes"].items()
        }
    if version.before("1.42"):
        shown["KernelMemory"] = shown.get("MemoryLimit", False)
    if version.before("1.25"):
        shown["ExecutionDriver"] = "<not supported>"
        options = shown.get("SecurityOptions") or []
        shown["SecurityOptions"] = [_bare(option) for option in options]
    if version.before("1.49"):
        _until_149(shown, version)
    if version.before("1.50"):
        shown |= {"BridgeNfIptables": False, "BridgeNfIp6tables": False}
    return shown


def _bare(option: str) -> str:
    """`name=seccomp,profile=builtin` is `seccomp` to clients before 1.25."""
    return option.partition(",")[0].removeprefix("name=")


def _until_149(shown: dict[str, Any], version: Version) -> None:
    if "RegistryConfig" in shown and shown["RegistryConfig"] is not None:
        names = ("AllowNondistributableArtifactsCIDRs", "AllowNondistributableArtifactsHostnames")
        empty: Any = [] if version.before("1.48") else None
        shown["RegistryConfig"] = dict.fromkeys(names, empty) | shown["RegistryConfig"]
    for field in _COMMITS:
        commit = shown.get(field)
        if commit is not None:
            shown[field] = commit | {"Expected": commit.get("ID", "")}
