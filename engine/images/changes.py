"""`--change` of import and commit: instructions applied to a config by Docker's rules and texts. Pure."""

import posixpath
from collections.abc import Callable

import msgspec

import errdefs
from engine.build.dockerfile import words
from engine.build.dockerfile.expand import expand, expand_words
from engine.containers.config import ContainerConfig, Healthcheck
from engine.containers.signals import parse_signal
from engine.images import expose, instructions
from engine.images.durations import parse_duration
from engine.images.instructions import Instruction

_SHELL = ["/bin/sh", "-c"]
_HEALTH_FLAGS = frozenset({"interval", "timeout", "start-period", "start-interval", "retries"})
_MAX_INT32 = 2**31 - 1


def apply_changes(config: ContainerConfig, changes: list[str]) -> ContainerConfig:
    """The config after the instructions; the argument is not changed. InvalidArgument in Docker's words."""
    if not changes:
        return config
    state = _State(msgspec.convert(msgspec.to_builtins(config), ContainerConfig))
    parsed = instructions.parse("\n".join(changes))
    for each in parsed:
        if each.name not in _APPLY:
            shown = each.line.split()[0]
            raise errdefs.InvalidArgument(f"{shown} is not a valid change command")
    for each in parsed:
        _APPLY[each.name](state, each)
    return state.config


class _State:
    """The config so far. `cmd_given`: an ENTRYPOINT after a CMD of these changes leaves that CMD alone."""

    def __init__(self, config: ContainerConfig) -> None:
        self.config = config
        self.cmd_given = False

    @property
    def env(self) -> dict[str, str]:
        pairs = (entry.partition("=") for entry in self.config.env or ())
        return {name: value for name, _, value in pairs}

    def expand(self, word: str) -> str:
        return expand(word, self.env)


def _pairs(state: _State, instruction: Instruction) -> list[tuple[str, str]]:
    name, rest = instruction.name, instruction.rest
    instruction.require_flags()
    parts = words.split(rest, "\\")
    if not parts:
        raise errdefs.InvalidArgument(f"{name} requires at least one argument")
    if "=" not in parts[0]:
        fields = rest.split(maxsplit=1)
        if len(fields) < 2:
            raise errdefs.InvalidArgument(f"{name} must have two arguments")
        raw = [(fields[0], fields[1])]
    else:
        raw = [_pair(name, part) for part in parts]
    return [(state.expand(key), state.expand(value)) for key, value in raw]


def _pair(instruction: str, word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals:
        raise errdefs.InvalidArgument(
            f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value'
        )
    if not key:
        raise errdefs.InvalidArgument(f"{instruction} names can not be blank")
    return key, value


def _env(state: _State, instruction: Instruction) -> None:
    entries = list(state.config.env or ())
    for key, value in _pairs(state, instruction):
        names = [entry.partition("=")[0] for entry in entries]
        if key in names:
            entries[names.index(key)] = f"{key}={value}"
        else:
            entries.append(f"{key}={value}")
    state.config.env = entries


def _label(state: _State, instruction: Instruction) -> None:
    state.config.labels = {**(state.config.labels or {}), **dict(_pairs(state, instruction))}


def _command_line(state: _State, instruction: Instruction) -> list[str]:
    instruction.require_flags()
    exec_form = instruction.json_words()
    if exec_form is not None:
        return exec_form
    shell = state.config.shell or _SHELL
    return [*shell, instruction.rest] if instruction.rest else list(shell)


def _cmd(state: _State, instruction: Instruction) -> None:
    state.config.cmd = _command_line(state, instruction)
    state.cmd_given = True


def _entrypoint(state: _State, instruction: Instruction) -> None:
    line = _command_line(state, instruction) if instruction.rest else []
    state.config.entrypoint = line or None
    if not state.cmd_given:
        state.config.cmd = None


def _expose(state: _State, instruction: Instruction) -> None:
    instruction.require_flags()
    fields = sorted(instruction.fields())
    if not fields:
        raise errdefs.InvalidArgument("EXPOSE requires at least one argument")
    specs = [spec for field in fields for spec in expand_words(field, state.env)]
    ports: dict[str, dict[str, object]] = {port: {} for spec in specs for port in expose.ports(spec)}
    state.config.exposed_ports = {**(state.config.exposed_ports or {}), **ports}


def _one_word(state: _State, instruction: Instruction) -> str:
    instruction.require_flags()
    if not instruction.rest:
        raise errdefs.InvalidArgument(f"{instruction.name} requires exactly one argument")
    return state.expand(instruction.rest)


def _user(state: _State, instruction: Instruction) -> None:
    state.config.user = _one_word(state, instruction)


def _workdir(state: _State, instruction: Instruction) -> None:
    requested = _one_word(state, instruction)
    if not requested:
        raise errdefs.InvalidArgument("cannot normalize nothing")
    joined = posixpath.join("/", state.config.working_dir, requested)
    state.config.working_dir = "/" + posixpath.normpath(joined).lstrip("/")


def _stop_signal(state: _State, instruction: Instruction) -> None:
    name = _one_word(state, instruction)
    parse_signal(name)
    state.config.stop_signal = name


def _volume(state: _State, instruction: Instruction) -> None:
    instruction.require_flags()
    given = instruction.json_words()
    paths = [state.expand(path.strip()) for path in (instruction.fields() if given is None else given)]
    if not paths:
        raise errdefs.InvalidArgument("VOLUME requires at least one argument")
    if not all(paths):
        raise errdefs.InvalidArgument("VOLUME specified can not be an empty string")
    state.config.volumes = {**(state.config.volumes or {}), **{path: {} for path in paths}}


def _on_build(state: _State, instruction: Instruction) -> None:
    instruction.require_flags()
    if not instruction.rest:
        raise errdefs.InvalidArgument("ONBUILD requires at least one argument")
    trigger = instructions.parse_line(instruction.rest).name
    if trigger == "ONBUILD":
        raise errdefs.InvalidArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise errdefs.InvalidArgument(f"{trigger} isn't allowed as an ONBUILD trigger")
    state.config.on_build = [*(state.config.on_build or ()), instruction.rest]


def _healthcheck(state: _State, instruction: Instruction) -> None:
    kind, _, rest = instruction.rest.partition(" ")
    rest = rest.strip()
    if not kind:
        raise errdefs.InvalidArgument("HEALTHCHECK requires at least one argument")
    if kind.upper() == "NONE":
        if rest:
            raise errdefs.InvalidArgument("HEALTHCHECK NONE takes no arguments")
        state.config.healthcheck = Healthcheck(test=["NONE"])
        return
    flags = instruction.require_flags(_HEALTH_FLAGS)
    if kind.upper() != "CMD":
        raise errdefs.InvalidArgument(f'Unknown type "{kind.upper()}" in HEALTHCHECK (try CMD)')
    state.config.healthcheck = Healthcheck(
        test=_probe(instruction, rest),
        interval=_interval("interval", flags),
        timeout=_interval("timeout", flags),
        start_period=_interval("start-period", flags),
        start_interval=_interval("start-interval", flags),
        retries=_retries(flags.get("retries", "")),
    )


def _probe(instruction: Instruction, rest: str) -> list[str]:
    exec_form = instruction.json_words(rest)
    if not rest or exec_form == []:
        raise errdefs.InvalidArgument("Missing command after HEALTHCHECK CMD")
    return ["CMD-SHELL", rest] if exec_form is None else ["CMD", *exec_form]


def _interval(name: str, flags: dict[str, str]) -> int:
    value = parse_duration(flags[name]) if flags.get(name) else 0
    if value and value < 1_000_000:
        raise errdefs.InvalidArgument(f'Interval "{name}" cannot be less than 1ms')
    return value


def _retries(text: str) -> int:
    if not text:
        return 0
    try:
        retries = int(text)
    except ValueError:
        raise errdefs.InvalidArgument(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
    if retries < 0:
        raise errdefs.InvalidArgument(f"--retries cannot be negative ({retries})")
    if retries > _MAX_INT32:
        raise errdefs.InvalidArgument(f'strconv.ParseInt: parsing "{text}": value out of range')
    return retries


_APPLY: dict[str, Callable[[_State, Instruction], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
