"""`docker build --check`: what a Dockerfile should better not do, though it can be built."""

from engine.build.dockerfile.checks import bases, names
from engine.build.dockerfile.checks.reporting import Options, Report
from engine.build.dockerfile.checks.scene import Scene
from engine.build.dockerfile.checks.steps import StageCheck, StageState
from engine.build.dockerfile.document import Dockerfile
from engine.build.dockerfile.expand import expand
from engine.build.dockerfile.instructions import Instruction, OnBuild
from engine.build.dockerfile.parser import parse_instruction
from engine.build.source import Position, at

__all__ = ["Report", "Scene", "check"]


def check(dockerfile: Dockerfile, scene: Scene) -> Report:
    """What breaks a rule that the Dockerfile does not skip. DockerfileError for a bad `# check=`."""
    with at(Position(1, 1)):
        report = Report(Options.parse(dockerfile.check))
    names.check(dockerfile, report)
    bases.check(dockerfile, scene, report)
    known = {name: value or "" for name, value in scene.variables.items()}
    numbers: dict[str, int] = {}
    states: dict[int, StageState] = {}
    for number, stage in enumerate(dockerfile.stages):
        with at(stage.start.position):
            below = numbers.get(expand(stage.start.base, known, dockerfile.escape).lower())
        if number in scene.stages:
            state = states[below].copy() if below in states else _of_image(number, scene)
            walk = StageCheck(state, scene, dockerfile.escape, report)
            for instruction in [*_triggers(dockerfile, number, below, scene), *stage.instructions]:
                walk.take(instruction)
            states[number] = state
        if stage.name:
            numbers[stage.name] = number
    return report


def _of_image(number: int, scene: Scene) -> StageState:
    run = scene.bases[number].run if number in scene.bases else None
    entries = [entry.partition("=") for entry in (run.env if run else None) or ("PATH=",)]
    return StageState(variables={name: value for name, _, value in entries}, shell=bool(run and run.shell))


def _triggers(dockerfile: Dockerfile, number: int, below: int | None, scene: Scene) -> list[Instruction]:
    """What ONBUILD of the base does in a stage."""
    if below is not None:
        given = [each for each in dockerfile.stages[below].instructions if isinstance(each, OnBuild)]
        expressions = [each.expression for each in given]
    else:
        expressions = list(scene.bases[number].run.on_build or ()) if number in scene.bases else []
    position = dockerfile.stages[number].start.position
    return [parse_instruction(expression, position) for expression in expressions]
