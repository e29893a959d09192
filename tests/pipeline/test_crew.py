"""Work in threads comes back in order, stops when it is told to, and its time is counted by stage."""

import threading
import time
from functools import partial

import pytest
import torch
from facequery.pipeline.crew import in_order
from facequery.stages import recorded, stage

CPU = torch.device("cpu")


def waited(value: int) -> int:
    time.sleep(0.02 if value % 3 == 0 else 0.0)
    return value


def test_results_come_in_order():
    assert list(in_order((partial(waited, i) for i in range(20)), CPU)) == list(range(20))


def test_tasks_are_made_as_they_are_needed():
    made: list[int] = []

    def tasks():
        for i in range(1000):
            made.append(i)
            yield partial(waited, i)

    results = in_order(tasks(), CPU)
    assert next(results) == 0
    results.close()
    assert len(made) < 20


def test_whoever_waits_may_stop_it():
    free = threading.Event()
    asked: list[None] = []

    def cancelled() -> None:
        asked.append(None)
        if len(asked) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(in_order([free.wait] * 50, CPU, cancelled))
    free.set()


def test_an_error_of_a_task_comes_through_even_a_timeout():
    def late() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        list(in_order([late], CPU))


def test_threads_of_the_caller_stay_as_they_are():
    before = torch.get_num_threads()
    assert list(in_order([torch.get_num_threads] * 3, CPU)) == [1, 1, 1]
    assert torch.get_num_threads() == before


def test_stages_inside_one_another_count_once():
    def busy(seconds: float) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    def work() -> None:
        with stage("outer"):
            busy(0.02)
            with stage("inner"):
                busy(0.04)

    work()  # nobody records
    with recorded() as stages:
        list(in_order([work] * 2, CPU))
    assert 0.03 < stages.seconds["outer"] < stages.seconds["inner"]
    assert sum(stages.seconds.values()) + stages.rest == pytest.approx(stages.processor, abs=0.02)
    table = stages.table(2)
    assert "outer" in table and "inner" in table and "ms/frame" in table
