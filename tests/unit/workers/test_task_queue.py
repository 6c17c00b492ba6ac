"""Tasks are handed out, requeued and finished: all of them, in whatever order workers take, finish and die."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from expclip_cache.workers.task_queue import MAX_DEATHS, TaskQueue

WORKERS = [f"worker {number}" for number in range(4)]


class RandomWorkers(RuleBasedStateMachine):
    """Workers that take, finish and die at random, compared with a simple model of the queue."""

    def __init__(self):
        super().__init__()
        self.queue = TaskQueue(range(8))
        self.open, self.held = set(range(8)), {worker: [] for worker in WORKERS}
        self.deaths = dict.fromkeys(range(8), 0)

    @rule(worker=st.sampled_from(WORKERS))
    def take(self, worker):
        held, idle = self.held[worker], not self.held[worker]
        task = self.queue.take(worker, idle=idle)
        without_deaths = {free for free in self.open if not self.deaths[free]}
        if task is None:
            assert not self.open if idle else (not without_deaths or any(self.deaths[n] for n in held))
            return
        assert task in self.open
        if self.deaths[task]:
            assert idle, "a suspect was given to a worker that holds another task"
        assert not any(self.deaths[n] for n in held), "a worker that holds a suspect got another task"
        self.open.remove(task)
        held.append(task)

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def finish(self, data):
        worker = data.draw(st.sampled_from([worker for worker in WORKERS if self.held[worker]]))
        self.queue.finish(self.held[worker].pop(0))

    @rule(worker=st.sampled_from(WORKERS))
    def die(self, worker):
        held, self.held[worker] = self.held[worker], []
        assert self.queue.requeue(worker) == held
        for task in held:
            self.deaths[task] += 1
        self.open |= set(held)

    @invariant()
    def state_matches_the_model(self):
        assert self.queue.done == (not self.open and not any(self.held.values()))
        poison = {task for task in self.open if self.deaths[task] >= MAX_DEATHS}
        assert (self.queue.poison_task in poison) if poison else self.queue.poison_task is None

    def teardown(self):
        for worker in WORKERS:
            self.queue.requeue(worker)
        while (task := self.queue.take("the last", idle=True)) is not None:
            self.queue.finish(task)
        assert self.queue.done


RandomWorkers.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRandomWorkers = RandomWorkers.TestCase


def test_a_poison_task_is_told_from_the_tasks_that_were_held_with_it():
    queue = TaskQueue(range(5))
    assert [queue.take("a", idle=idle) for idle in (True, False, False)] == [0, 1, 2]
    assert queue.requeue("a") == [0, 1, 2]
    finished, deaths = set(), 1
    while queue.poison_task is None:
        task = queue.take("b", idle=True)
        assert task is not None
        if task == 1:
            deaths += 1
            queue.requeue("b")
        else:
            queue.finish(task)
            finished.add(task)
    assert (queue.poison_task, deaths) == (1, MAX_DEATHS)
    assert finished <= {0, 2}


def test_a_requeued_task_that_its_first_worker_finishes_after_all_is_done():
    queue = TaskQueue([7])
    queue.take("a", idle=True)
    queue.requeue("a")
    queue.finish(7)
    assert queue.done
    queue.finish(7)
    assert queue.done


def test_workers_that_die_before_they_take_a_task():
    queue = TaskQueue([0])
    for number in range(MAX_DEATHS):
        assert not queue.workers_fail_to_start
        queue.requeue(f"worker {number}")
    assert queue.workers_fail_to_start


def test_a_long_queue_is_handed_out_quickly():
    queue = TaskQueue(range(200_000))
    while (task := queue.take("a", idle=False)) is not None:
        queue.finish(task)
    assert queue.done
