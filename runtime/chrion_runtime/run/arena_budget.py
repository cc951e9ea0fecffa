"""Share a budget of GPU memory out among kernels: an engine bounds the arena of each one, and not their sum."""

from collections.abc import Mapping, Sequence

from chrion_runtime.devices import HOST
from chrion_runtime.engines.identity import KernelIdentity, identity
from chrion_runtime.run.compiled_plan import CompiledPlan


def arena_budgets(compiled_plans: Sequence[CompiledPlan], budget: int) -> dict[KernelIdentity, int]:
    """The bytes that each kernel of plans which serve side by side may take of its arena.

    They add up to no more than the budget, less what the plans predict to lie outside of arenas: the context, which is
    there once, values between stages, and the libraries' handles. Empty where a stage on a GPU does not say what its
    kernel takes (`arenaBytes`): then there is nothing to share by.
    """
    needs: dict[KernelIdentity, int] = {}
    for compiled in compiled_plans:
        for stage, file in zip(compiled.plan.stages, compiled.files, strict=True):
            if stage.device != HOST:
                key = identity(stage, file.path)
                needs[key] = max(stage.arena_bytes, needs.get(key, 0))
    plans = [compiled.plan for compiled in compiled_plans]
    context = max((plan.gpu_bytes.context for plan in plans), default=0)
    return share_out(needs, budget - context - sum(plan.outside_bytes for plan in plans))


def share_out(needs: Mapping[KernelIdentity, int], room: int) -> dict[KernelIdentity, int]:
    """The room by needs: each kernel has what it needs, and of what is left, or lacking, its part."""
    total = sum(needs.values())
    if not all(needs.values()):
        return {}
    return {key: max(room, 0) * need // total for key, need in needs.items()}
