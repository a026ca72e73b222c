"""ARG in a stage."""

from collections.abc import Mapping

from engine.build.dockerfile.instructions import Arg
from engine.build.plan.stage import Stage

_NOT_IN_ENVIRONMENT = frozenset(("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"))


def declare(
    stage: Stage, instruction: Arg, values: Mapping[str, str], inherited: Mapping[str, str | None]
) -> None:
    """Give a stage its arguments: `values` are those of the build, `inherited` the global ones and the platform's."""
    texts: list[str] = []
    for written in instruction.arguments:
        argument = written.expanded(stage.expand)
        texts.append(argument.name if argument.default is None else f"{argument.name}={argument.default}")
        value = values.get(argument.name, argument.default)
        if value is None:
            value = inherited.get(argument.name)
        stage.arguments.append((argument.name, value))
        if value is not None and _is_set(stage, argument.name):
            stage.variables[argument.name] = value
    stage.setting(f"ARG {' '.join(texts)}")


def of_history(stage: Stage, *, untold: bool = False) -> list[str]:
    """The arguments as the history of RUN has them before its command: how many, and each.

    The classic builder begins so, too, where it has `untold` ones alone.
    """
    if stage.classic:
        found = sorted(
            {
                f"{name}={value}"
                for name, value in stage.arguments
                if value is not None and _is_set(stage, name)
            }
        )
    else:
        found = [f"{name}={stage.variables.get(name, value or '')}" for name, value in stage.arguments]
    return [f"|{len(found)}", *found] if found or (stage.classic and untold) else []


def _is_set(stage: Stage, name: str) -> bool:
    """Whether an argument gets into the environment: with the classic builder, one of the image wins."""
    if name in _NOT_IN_ENVIRONMENT:
        return False
    return not (stage.classic and stage.has_variable(name))
