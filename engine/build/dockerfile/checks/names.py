"""Checks of how instructions and stages are written."""

from engine.build.dockerfile.checks import rules
from engine.build.dockerfile.checks.reporting import Report
from engine.build.dockerfile.document import Dockerfile
from engine.build.dockerfile.instructions import Arg, From, Instruction, Maintainer
from engine.build.dockerfile.text import quoted

_RESERVED = frozenset({"context", "scratch"})


def check(dockerfile: Dockerfile, report: Report) -> None:
    """Look at every instruction by itself, then at the names of stages and the case of all."""
    for position in dockerfile.empty_continuations:
        report.add(rules.NO_EMPTY_CONTINUATION, position, "Empty continuation line")
    for instruction in [*dockerfile.arguments, *_all(dockerfile)]:
        _check_one(instruction, report)
    _check_stage_names(dockerfile, report)
    _check_casing(dockerfile, report)


def _all(dockerfile: Dockerfile) -> list[Instruction]:
    return [each for stage in dockerfile.stages for each in (stage.start, *stage.instructions)]


def _check_one(instruction: Instruction, report: Report) -> None:
    if isinstance(instruction, Maintainer):
        text = "Maintainer instruction is deprecated in favor of using label"
        report.add(rules.MAINTAINER_DEPRECATED, instruction.position, text, instruction.comments)
    elif isinstance(instruction, From) and instruction.name:
        _check_from(instruction, report)
        _check_description(instruction, "FROM", [instruction.name], report)
    elif isinstance(instruction, Arg):
        names = [argument.name for argument in instruction.arguments]
        _check_description(instruction, "ARG", names, report)


def _check_from(start: From, report: Report) -> None:
    *_, keyword, name = start.text.split()
    if name != name.lower():
        text = f"Stage name '{name}' should be lowercase"
        report.add(rules.STAGE_NAME_CASING, start.position, text, start.comments)
    cased = {start.keyword.lower(): keyword.lower(), start.keyword.upper(): keyword.upper()}
    if cased.get(start.keyword, keyword) != keyword:
        text = f"'{keyword}' and '{start.keyword}' keywords' casing do not match"
        report.add(rules.FROM_AS_CASING, start.position, text, start.comments)


def _check_description(instruction: Instruction, kind: str, names: list[str], report: Report) -> None:
    if not instruction.comments or instruction.comments[-1].split(" ")[0] in names:
        return
    example = names[0] if len(names) == 1 else "<arg_key>"
    text = f"Comment for {kind} should follow the format: `# {example} <description>`"
    report.add(rules.INVALID_DEFINITION_DESCRIPTION, instruction.position, text, instruction.comments)


def _check_stage_names(dockerfile: Dockerfile, report: Report) -> None:
    seen: set[str] = set()
    for stage in dockerfile.stages:
        if stage.name in _RESERVED:
            text = f"Stage name should not use the same name as reserved stage {quoted(stage.name)}"
            report.add(rules.RESERVED_STAGE_NAME, stage.start.position, text)
        if stage.name in seen:
            text = f"Duplicate stage name {quoted(stage.name)}, stage names should be unique"
            report.add(rules.DUPLICATE_STAGE_NAME, stage.start.position, text)
        seen |= {stage.name} - {""}


def _check_casing(dockerfile: Dockerfile, report: Report) -> None:
    """Most of the instructions say how all should be written."""
    instructions = _all(dockerfile)
    keywords = [instruction.keyword for instruction in instructions]
    lower = sum(keyword == keyword.lower() for keyword in keywords)
    upper = sum(keyword == keyword.upper() and keyword != keyword.lower() for keyword in keywords)
    wanted = "lowercase" if lower > upper else "uppercase"
    for instruction in instructions:
        keyword = instruction.keyword
        if keyword != (keyword.lower() if lower > upper else keyword.upper()):
            text = f"Command '{keyword}' should match the case of the command majority ({wanted})"
            report.add(rules.CONSISTENT_INSTRUCTION_CASING, instruction.position, text)
