"""What came of a build's steps made a result: images' configs, and steps for caches elsewhere."""

from collections.abc import Mapping, Sequence

from engine.build.plan import whole
from engine.build.plan.plan import Entry, Plan
from engine.build.refs import SCRATCH
from engine.build.results import Built, CacheStep
from engine.build.solver.work import Outcome
from engine.build.steps import Vertex
from engine.images.config import History, ImageConfig

Outcomes = Mapping[Vertex, Outcome]


def built(plan: Plan, outcomes: Outcomes, *, classic: bool, lines: dict[int, History]) -> Built:
    """The result of a plan that was carried out; `lines` as of `whole.Made`. The classic API exports no caches."""
    return Built(
        platform=plan.platform,
        ref=outcomes[plan.root].ref if plan.root else SCRATCH,
        config=config_of(
            plan.config, plan.entries, plan.root, outcomes, epoch=plan.epoch, classic=classic, lines=lines
        ),
        base=plan.base,
        cache=[] if classic else _cache(plan.chain(), outcomes),
        all_cache=[] if classic else _cache(plan.vertices, outcomes),
    )


def config_of(
    config: ImageConfig,
    entries: Sequence[Entry],
    root: Vertex | None,
    outcomes: Outcomes,
    *,
    epoch: int | None,
    classic: bool,
    lines: dict[int, History],
) -> ImageConfig:
    """The whole config of an image with the files of `root`, whose steps are done; `lines` as of `whole.Made`."""
    done = {
        entry.vertex: whole.Done(
            changed=outcome.layer is not None, created=outcome.created, contents=outcome.contents
        )
        for entry in entries
        if entry.vertex and (outcome := outcomes.get(entry.vertex))
    }
    diff_ids = outcomes[root].ref.diff_ids if root else []
    made = whole.Made(diff_ids=diff_ids, done=done, epoch=epoch, classic=classic, lines=lines)
    return whole.config_of(config, entries, made)


def _cache(vertices: Sequence[Vertex], outcomes: Outcomes) -> list[CacheStep]:
    """Those that can be found again."""
    return [_step(vertex, outcomes) for vertex in vertices if vertex in outcomes and outcomes[vertex].key]


def _step(vertex: Vertex, outcomes: Outcomes) -> CacheStep:
    outcome, below = outcomes[vertex], outcomes.get(vertex.inputs[0])
    return CacheStep(
        key=outcome.key,
        parent=below.key if below else "",
        root=below.ref.chain_id if below else "",
        layer=outcome.layer,
        created=outcome.created,
        description=vertex.name,
    )
