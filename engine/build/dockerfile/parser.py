"""Dockerfiles and single instructions from their text."""

import msgspec

import errdefs
from engine.build.dockerfile import directives, lines
from engine.build.dockerfile.building import build
from engine.build.dockerfile.document import Dockerfile, Stage
from engine.build.dockerfile.instructions import Arg, From, Instruction
from engine.build.dockerfile.lines import Statement
from engine.build.source import DockerfileError, Position, SourceFile, at


def parse(file: SourceFile) -> Dockerfile:
    """The whole file. DockerfileError, always with a position, for what BuildKit refuses."""
    if not file.content:
        raise DockerfileError("the Dockerfile cannot be empty", Position(1, 1))
    syntax = directives.find("syntax", file.content)
    with at(Position(1, 1)):
        directives.require_own(syntax)
    read = lines.read(file.content)
    arguments: list[Arg] = []
    stages: list[tuple[From, list[Instruction]]] = []
    for statement in read.statements:
        instruction = _instruction(statement)
        if isinstance(instruction, From):
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            arguments.append(instruction)
        else:
            raise DockerfileError("no build stage in current context", statement.position)
    if not stages:
        raise DockerfileError("dockerfile contains no stages to build", read.statements[-1].position)
    return Dockerfile(
        stages=[Stage(start=start, instructions=instructions) for start, instructions in stages],
        arguments=arguments,
        escape=read.escape,
        syntax=syntax,
        check=directives.find("check", file.content),
        empty_continuations=read.empty,
    )


def parse_instruction(text: str, position: Position) -> Instruction:
    """One instruction with its heredocs, such as a trigger of a base image's ONBUILD, as it stands at `position`."""
    try:
        statements = lines.read(text.encode(errors="replace")).statements
    except DockerfileError as error:
        raise DockerfileError(error.message, position) from error
    if len(statements) != 1:
        raise DockerfileError("onbuild trigger should be a single expression", position)
    with at(position):
        return build(msgspec.structs.replace(statements[0], position=position))


def _instruction(statement: Statement) -> Instruction:
    try:
        return build(statement)
    except errdefs.InvalidArgument as error:
        message = f"dockerfile parse error on line {statement.position.first}: {error.message}"
        raise DockerfileError(message, statement.position) from error
