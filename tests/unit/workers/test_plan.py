"""Numbers are handed out, taken back from the dead and finished: every one of them, whatever happens."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from expclip_cache.workers.plan import MOST_DEATHS, Plan

WORKERS = [f"worker {number}" for number in range(4)]


class Bookkeeping(RuleBasedStateMachine):
    """Workers that take, finish and die at random, against a plain model of what the plan must do."""

    def __init__(self):
        super().__init__()
        self.plan = Plan(range(8))
        self.open, self.held = set(range(8)), {worker: [] for worker in WORKERS}
        self.deaths = dict.fromkeys(range(8), 0)

    @rule(worker=st.sampled_from(WORKERS))
    def take(self, worker):
        held, fresh = self.held[worker], not self.held[worker]
        number = self.plan.take(worker, fresh=fresh)
        clean = {free for free in self.open if not self.deaths[free]}
        if number is None:
            assert not self.open if fresh else (not clean or any(self.deaths[n] for n in held))
            return
        assert number in self.open
        if self.deaths[number]:
            assert fresh, "a suspect must be alone"
        assert not any(self.deaths[n] for n in held), "a suspect must stay alone"
        self.open.remove(number)
        held.append(number)

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def finish(self, data):
        worker = data.draw(st.sampled_from([worker for worker in WORKERS if self.held[worker]]))
        self.plan.finish(self.held[worker].pop(0))

    @rule(worker=st.sampled_from(WORKERS))
    def die(self, worker):
        held, self.held[worker] = self.held[worker], []
        assert self.plan.lose(worker) == held
        for number in held:
            self.deaths[number] += 1
        self.open |= set(held)

    @invariant()
    def what_is_left_is_known(self):
        assert self.plan.done == (not self.open and not any(self.held.values()))
        guilty = {number for number in self.open if self.deaths[number] >= MOST_DEATHS}
        assert (self.plan.guilty in guilty) if guilty else self.plan.guilty is None

    def teardown(self):
        for worker in WORKERS:
            self.plan.lose(worker)
        while (number := self.plan.take("the last", fresh=True)) is not None:
            self.plan.finish(number)
        assert self.plan.done


Bookkeeping.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBookkeeping = Bookkeeping.TestCase


def test_the_guilty_is_told_from_those_that_were_taken_with_it():
    plan = Plan(range(5))
    assert [plan.take("a", fresh=fresh) for fresh in (True, False, False)] == [0, 1, 2]
    assert plan.lose("a") == [0, 1, 2]
    finished, deaths = set(), 1
    while plan.guilty is None:
        number = plan.take("b", fresh=True)
        if number == 1:
            deaths += 1
            plan.lose("b")
        else:
            plan.finish(number)
            finished.add(number)
    assert (plan.guilty, deaths) == (1, MOST_DEATHS)
    assert finished <= {0, 2}


def test_a_number_finished_by_a_worker_that_was_given_up_is_done():
    plan = Plan([7])
    plan.take("a", fresh=True)
    plan.lose("a")
    plan.finish(7)
    assert plan.done
    plan.finish(7)
    assert plan.done


def test_workers_that_die_before_they_take_anything():
    plan = Plan([0])
    for number in range(MOST_DEATHS):
        assert not plan.starts_in_vain
        plan.lose(f"worker {number}")
    assert plan.starts_in_vain


def test_a_long_plan_is_handed_out_quickly():
    plan = Plan(range(200_000))
    while (number := plan.take("a", fresh=False)) is not None:
        plan.finish(number)
    assert plan.done
