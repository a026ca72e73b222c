"""Steps as the classic API counts them: every instruction of every stage up to the target, and the labels asked for."""

from collections.abc import Sequence

from engine.build.dockerfile.document import Dockerfile
from engine.build.plan.graph import Node
from engine.build.plan.plan import Step
from engine.build.plan.stage import Stage
from engine.build.source import DockerfileError, Position


def require_names(nodes: Sequence[Node]) -> None:
    """Pass if no stage has the name of another. DockerfileError in Docker's words."""
    known: set[str] = set()
    for node in nodes:
        if node.stage is not None and node.name in known:
            raise DockerfileError(f"{node.name} stage name already used", node.position)
        known |= {node.name} if node.name else set()


def global_steps(dockerfile: Dockerfile) -> list[Step]:
    """The ARGs before the first FROM: nothing comes of them."""
    return [Step(text=each.text, position=each.position, stage=-1) for each in dockerfile.arguments]


def step(
    stage: Stage, text: str, position: Position, number: int, triggers: Sequence[str] = (), image: str = ""
) -> Step:
    """An instruction that was just applied."""
    return Step(
        text=text,
        position=position,
        stage=number,
        root=stage.root,
        config=stage.snapshot(),
        base=stage.base,
        entries=tuple(stage.history),
        image=image,
        triggers=triggers,
    )
