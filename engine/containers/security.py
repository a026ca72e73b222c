"""`HostConfig.SecurityOpt` as values: pure."""

import msgspec

import errdefs

_TRUE = ("1", "t", "true")
_FALSE = ("0", "f", "false")


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of the kernel's guards, None where nothing was; `seccomp` is "", "unconfined", "builtin" or a
    profile as JSON.
    """

    no_new_privileges: bool | None = None
    seccomp: str = ""
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    writable_cgroups: bool | None = None


def parse(options: list[str] | None) -> Security:
    """The options in order, the last of a kind wins; InvalidArgument in Docker's words."""
    no_new_privileges = writable_cgroups = None
    seccomp, apparmor, labels = "", "", []
    for option in options or ():
        key, value = _split(option)
        match key:
            case "no-new-privileges":
                no_new_privileges = _boolean(option, value)
            case "seccomp":
                seccomp = value
            case "apparmor":
                apparmor = value
            case "label":
                labels.append(value)
            case "writable-cgroups":
                writable_cgroups = _boolean(option, value)
            case _:
                raise errdefs.InvalidArgument(f'invalid --security-opt 2: "{option}"')
    return Security(
        no_new_privileges=no_new_privileges,
        seccomp=seccomp,
        apparmor=apparmor,
        labels=tuple(labels),
        writable_cgroups=writable_cgroups,
    )


def _split(option: str) -> tuple[str, str]:
    if option == "no-new-privileges":
        return option, "true"
    if option == "disable":
        return "label", option
    for separator in ("=", ":"):
        key, found, value = option.partition(separator)
        if found:
            return key, value
    raise errdefs.InvalidArgument(f'invalid --security-opt 1: "{option}"')


def _boolean(option: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise errdefs.InvalidArgument(f'invalid --security-opt 2: "{option}"')
