"""Instructions that change what an image says of itself, and no file."""

import posixpath
from collections.abc import Callable
from typing import Any

import errdefs
from engine.build.dockerfile import expand as words
from engine.build.dockerfile.instructions import (
    Cmd,
    Command,
    Entrypoint,
    Env,
    Expose,
    HealthCheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Shell,
    StopSignal,
    User,
    Volume,
)
from engine.build.plan import texts
from engine.build.plan.stage import Stage
from engine.containers.config import Healthcheck
from engine.containers.signals import parse_signal
from engine.images import expose


def apply(stage: Stage, instruction: Instruction) -> bool:
    """Change a stage as an instruction says, its variables replaced already; False for one of another kind.

    InvalidArgument for what cannot be.
    """
    handler = _HANDLERS.get(type(instruction))
    if handler is None:
        return False
    handler(stage, instruction)
    return True


def label(stage: Stage, name: str, value: str) -> None:
    """Set a label that a build was asked for: the classic builder has it as an instruction."""
    stage.run.labels = {**(stage.run.labels or {}), name: value}
    if stage.classic:
        stage.setting(f"LABEL {name}={value}")


def command_line(stage: Stage, command: Command) -> list[str]:
    """The words of a command, those of the shell before them where it is needed."""
    return [*stage.shell, " ".join(command.words)] if command.shell else list(command.words)


def work_in(stage: Stage, path: str) -> str:
    """Change the working directory; where it is then."""
    directory = posixpath.normpath(posixpath.join(stage.directory, path))
    stage.run.working_dir = "/" + directory.lstrip("/")
    return stage.run.working_dir


def _env(stage: Stage, env: Env) -> None:
    for pair in env.pairs:
        stage.set_variable(pair.key, pair.value)
    stage.setting(" ".join(["ENV", *(f"{pair.key}={pair.value}" for pair in env.pairs)]))


def _label(stage: Stage, instruction: Label) -> None:
    stage.run.labels = {**(stage.run.labels or {}), **{pair.key: pair.value for pair in instruction.pairs}}
    stage.setting(" ".join(["LABEL", *(f"{pair.key}={pair.value}" for pair in instruction.pairs)]))


def _maintainer(stage: Stage, instruction: Maintainer) -> None:
    stage.config.author = instruction.maintainer
    stage.setting(f"MAINTAINER {instruction.maintainer}")


def _cmd(stage: Stage, cmd: Cmd) -> None:
    line = command_line(stage, cmd)
    stage.run.cmd = line
    stage.run.args_escaped = not stage.classic
    stage.cmd_given = stage.cmd_given or not stage.classic or bool(cmd.words)
    stage.setting(f"CMD {texts.quoted_list(line)}")


def _entrypoint(stage: Stage, entrypoint: Entrypoint) -> None:
    line = command_line(stage, entrypoint)
    stage.run.entrypoint = line
    if not stage.cmd_given:
        stage.run.cmd = None
    stage.setting(f"ENTRYPOINT {texts.quoted_list(line)}")


def _health(stage: Stage, instruction: HealthCheck) -> None:
    check = instruction.check
    stage.run.healthcheck = Healthcheck(
        test=list(check.test or ()),
        interval=check.interval,
        timeout=check.timeout,
        start_period=check.start_period,
        start_interval=check.start_interval,
        retries=check.retries,
    )
    stage.setting(f"HEALTHCHECK {texts.health(check)}")


def _expose(stage: Stage, instruction: Expose) -> None:
    specs = [
        word for port in instruction.ports for word in words.expand_words(port, stage.variables, stage.escape)
    ]
    ports = {port for spec in specs for port in expose.ports(spec)}
    stage.run.exposed_ports = {**(stage.run.exposed_ports or {}), **{port: {} for port in sorted(ports)}}
    stage.setting(f"EXPOSE {texts.port_set(ports)}", f"EXPOSE {' '.join(specs)}")


def _user(stage: Stage, instruction: User) -> None:
    stage.run.user = instruction.user
    stage.setting(f"USER {instruction.user}")


def _volume(stage: Stage, instruction: Volume) -> None:
    if not all(instruction.paths):
        raise errdefs.InvalidArgument("VOLUME specified can not be an empty string")
    stage.run.volumes = {**(stage.run.volumes or {}), **{path: {} for path in instruction.paths}}
    stage.setting(f"VOLUME {texts.plain_list(instruction.paths)}")


def _stop_signal(stage: Stage, instruction: StopSignal) -> None:
    parse_signal(instruction.signal)
    stage.run.stop_signal = instruction.signal
    stage.setting(f"STOPSIGNAL {instruction.signal}")


def _shell(stage: Stage, instruction: Shell) -> None:
    stage.run.shell = list(instruction.words)
    stage.setting(f"SHELL {texts.plain_list(instruction.words)}")


def _on_build(stage: Stage, instruction: OnBuild) -> None:
    stage.run.on_build = [*(stage.run.on_build or ()), instruction.expression]
    if stage.classic:
        stage.setting(f"ONBUILD {instruction.expression}")


_HANDLERS: dict[type[Instruction], Callable[[Stage, Any], None]] = {
    Cmd: _cmd,
    Entrypoint: _entrypoint,
    Env: _env,
    Expose: _expose,
    HealthCheck: _health,
    Label: _label,
    Maintainer: _maintainer,
    OnBuild: _on_build,
    Shell: _shell,
    StopSignal: _stop_signal,
    User: _user,
    Volume: _volume,
}
