"""The environment of a container's first process, put together as Docker does."""

from collections.abc import Iterable, Sequence

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def merge(image_env: Iterable[str], config_env: Iterable[str]) -> list[str]:
    """Return Config.Env of a container: what was asked, then what of the image was not spoken of.

    An entry without "=" asks for the removal of that name: it is kept, so that it also unsets defaults.
    """
    asked = list(config_env)
    named = {_name(entry) for entry in asked}
    return [*asked, *(entry for entry in image_env if _name(entry) not in named)]


def environment(
    image_env: Iterable[str],
    config_env: Iterable[str],
    hostname: str,
    tty: bool = False,
    home: str | None = None,
) -> tuple[str, ...]:
    """Return the KEY=value list: PATH, HOSTNAME, TERM (with a terminal), then the merged environment.

    A default that the container sets itself keeps its place and takes the new value. An entry without "="
    removes the name and never takes a value from the daemon's own environment. `home` is added as HOME when
    nothing else sets it; None leaves it to the runtime, which knows the user's passwd entry.
    """
    defaults = [f"PATH={DEFAULT_PATH}", f"HOSTNAME={hostname}", *(["TERM=xterm"] if tty else [])]
    result = override(defaults, merge(image_env, config_env))
    if home is not None and not any(_name(entry) == "HOME" for entry in result):
        result.append(f"HOME={home}")
    return tuple(result)


def override(defaults: Sequence[str], overrides: Iterable[str]) -> list[str]:
    """Return `defaults` with `overrides` laid over them, by name; later ones of the same name win."""
    result: list[str | None] = list(defaults)
    places = {_name(entry): index for index, entry in enumerate(defaults)}
    for entry in overrides:
        name, assigned, _ = entry.partition("=")
        place = places.get(name)
        if not assigned:
            if place is not None:
                result[place] = None
        elif place is not None:
            result[place] = entry
        else:
            result.append(entry)
    return [entry for entry in result if entry]


def _name(entry: str) -> str:
    return entry.partition("=")[0]
