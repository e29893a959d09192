"""Levenberg-Marquardt on a `Problem`: projected to the bounds, every step accepted lowers the cost."""

from dataclasses import dataclass

import numpy as np

from facequery.fitting.arrow import ArrowSystem, solve_arrow
from facequery.fitting.problem import Problem, State

_MOST_DAMPING = 1e7


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where it ended: the state, its cost, how many times it was linearised, and the normal equations there."""

    state: State
    cost: float
    iterations: int
    system: ArrowSystem
    converged: bool


def minimise(
    problem: Problem, state: State, iterations: int, tolerance: float = 1e-4, damping: float = 1e-4
) -> Minimum:
    """Lower the cost of `problem` from `state` for at most `iterations` linearisations.

    Ends when a step lowers the cost by less than `tolerance` of it. Expressions stay in [0, 1]: one that lies at a
    bound and is pushed outwards is held for the step (projected Newton; Bertsekas, SIAM J. Control 20, 1982).
    """
    system, precision = problem.linearise(state)
    cost = problem.cost(state, precision)
    done = 1
    converged = False
    for _ in range(iterations - 1):
        free = problem.free(state, system.frame_gradient)
        accepted = False
        while damping < _MOST_DAMPING:
            try:
                frame, shared, _ = solve_arrow(system, damping, free)
            except np.linalg.LinAlgError:
                damping = max(damping, 1e-6) * 10.0
                continue
            candidate = problem.step(state, frame, shared)
            value = problem.cost(candidate, precision)
            if np.isfinite(value) and value < cost:
                accepted = True
                break
            damping = max(damping, 1e-6) * 10.0
        if not accepted:
            converged = True
            break
        gain = cost - value
        state = candidate
        damping = max(damping * 0.2, 1e-9)
        system, precision = problem.linearise(state)
        done += 1
        cost = problem.cost(state, precision)
        if gain <= tolerance * abs(cost) + 1e-9:
            converged = True
            break
    return Minimum(state, cost, done, system, converged)
