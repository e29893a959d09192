"""Levenberg-Marquardt on a `Problem`: projected to the bounds, every step accepted lowers the cost."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facequery.fitting.arrow import Array, ArrowSystem, solve_arrow, times
from facequery.fitting.problem import Problem
from facequery.fitting.state import EXPRESSION, State

_MOST_DAMPING = 1e7
_ROUNDS = 4  # of finding which expressions end at a bound in one step


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where it ended: the state, its cost, how many times it was linearised, and the normal equations there."""

    state: State
    cost: float
    iterations: int
    system: ArrowSystem
    converged: bool


def minimise(
    problem: Problem,
    state: State,
    iterations: int,
    tolerance: float = 1e-4,
    damping: float = 1e-4,
    tick: Callable[[], None] | None = None,
) -> Minimum:
    """Lower the cost of `problem` from `state` for at most `iterations` linearisations.

    Ends when a step lowers the cost by less than `tolerance` of it. Expressions stay within their bounds: one that lies
    at a bound and is pushed outwards is held (projected Newton; Bertsekas, SIAM J. Control 20, 1982). `tick` is called
    after every linearisation and may raise to end the work.
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
                frame, shared = bounded_step(system, damping, state.expression, free, problem.most)
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
        if tick:
            tick()
        cost = problem.cost(state, precision)
        if gain <= tolerance * abs(cost) + 1e-9:
            converged = True
            break
    return Minimum(state, cost, done, system, converged)


def bounded_step(
    system: ArrowSystem, damping: float, expression: Array, free: NDArray[np.bool_], most: Array | float = 1.0
) -> tuple[Array, Array]:
    """Step (F, P) and (S,) after which every expression lies between 0 and `most`, (F, 52) or one.

    What would leave is put on the bound and the rest solved again, so that the others know of it; cutting the step off
    instead would leave them wrong and the damping high.
    """
    held = np.zeros_like(system.frame_gradient)
    free = free.copy()
    for _ in range(_ROUNDS):
        shifted = system
        if held.any():
            push, push_shared = times(system, held)
            shifted = replace(
                system,
                frame_gradient=system.frame_gradient + push,
                shared_gradient=system.shared_gradient + push_shared,
            )
        step = solve_arrow(shifted, damping, free)
        target = expression + step.frame[:, EXPRESSION]
        leaving = free[:, EXPRESSION] & ((target < 0.0) | (target > most))
        if not leaving.any():
            break
        held[:, EXPRESSION][leaving] = (np.clip(target, 0.0, most) - expression)[leaving]
        free[:, EXPRESSION] &= ~leaving
    return step.frame + held, step.shared
