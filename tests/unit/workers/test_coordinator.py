"""The coordinator's answers to messages in a given order, over a transport without any workers."""

import pytest

from expclip_cache.base import DataError, LostWorkerError
from expclip_cache.workers import coordinator
from expclip_cache.workers.coordinator import Coordinator, Transport
from file_tasks import Recorder

A, B, C = (f"worker {number}" for number in (1, 2, 3))


class ScriptedTransport(Transport):
    """Delivers the messages one by one, and records what the coordinator does."""

    workers = "scripted workers"
    replacement = "Another one replaces it."

    def __init__(self, *messages):
        self.messages = [(worker, tuple(message)) for worker, *message in messages]
        self.started, self.replies, self.stopped = [], [], False

    def start(self, worker, device):
        self.started.append((worker, device))

    def receive(self, seconds):
        assert self.messages, f"the coordinator waits for more; its answers: {self.replies}"
        return [self.messages.pop(0)]

    def reply(self, worker, answer):
        self.replies.append((worker, answer))

    def stop(self):
        self.stopped = True


def run(transport, count, devices):
    recorder = Recorder()
    try:
        Coordinator(range(count), transport, recorder).run(devices)
    finally:
        assert transport.stopped
    return recorder


def test_an_idle_worker_waits_for_tasks_that_may_be_requeued_and_is_then_dismissed():
    transport = ScriptedTransport(
        (A, "ready", "here", 1), (B, "ready", "there", 2), (A, "take", True), (B, "take", True),
        (A, "advance", 0, 5), (A, "ended", "killed."), (B, "advance", 0, 7), (B, "finished", 0, "record"),
        (B, "take", True), (B, "ended", "exit"),
    )  # fmt: skip
    recorder = run(transport, 1, ["x", "y"])
    assert transport.started == [(A, "x"), (B, "y"), (C, "x")]
    assert transport.replies == [(A, 1), (B, 1), (A, 0), (B, 0), (B, None)]
    assert recorder.places == ["2 scripted workers, the first on here"]
    assert (recorder.lost_tasks, recorder.steps, recorder.records) == ([0], {0: 7}, {0: "record"})
    assert recorder.lines == ["killed. Another one replaces it."]


def test_a_task_is_lost_before_another_worker_gets_it():
    order = []

    class Watcher(Recorder):
        def lost(self, task):
            order.append(("lost", task))

    transport = ScriptedTransport(
        (A, "take", True), (B, "take", True), (A, "ended", "killed."), (B, "finished", 0, None)
    )  # fmt: skip
    transport.reply = lambda worker, answer: order.append((worker, answer))
    Coordinator([0], transport, Watcher()).run(["x", "y"])
    assert order == [(A, 0), ("lost", 0), (B, 0)]


def test_all_waiting_workers_are_dismissed_and_workers_that_are_not_ready_are_not_waited_for():
    transport = ScriptedTransport(
        (A, "ready", "here", None), (A, "take", True), (B, "ready", "here", None), (B, "take", True),
        (A, "finished", 0, None), (A, "take", False), (A, "take", True), (B, "ended", "exit"), (A, "ended", "exit"),
    )  # fmt: skip
    recorder = run(transport, 1, ["x", "x", "x"])
    assert transport.replies == [(A, None), (A, 0), (B, None), (B, None), (A, None), (A, None)]
    assert recorder.lines == []
    assert transport.messages == []


def test_the_end_does_not_wait_forever_for_a_worker_that_does_not_exit(monkeypatch):
    monkeypatch.setattr(coordinator, "GRACE_SECONDS", 0.0)
    transport = ScriptedTransport((A, "ready", "here", None), (A, "take", True), (A, "finished", 0, None))
    assert run(transport, 1, ["x"]).records == {0: None}


def test_a_worker_that_was_thought_dead_gets_no_task_but_its_results_count():
    transport = ScriptedTransport(
        (A, "take", True), (A, "ended", "unreachable."), (A, "finished", 0, "late"), (A, "take", True),
        (A, "ready", "here", "facts"), (A, "lost", "a decoder died."), (B, "take", True), (B, "finished", 1, "b"),
    )  # fmt: skip
    recorder = run(transport, 2, ["x"])
    assert transport.replies == [(A, 0), (A, None), (A, "facts"), (B, 1)]
    assert recorder.records == {0: "late", 1: "b"}


def test_the_reason_that_a_worker_gave_itself_is_shown():
    transport = ScriptedTransport(
        (A, "take", True), (A, "lost", "a decoder died."), (A, "ended", "exit code 0"),
        (B, "take", True), (B, "finished", 0, None),
    )  # fmt: skip
    assert run(transport, 1, ["x"]).lines == ["a decoder died. Another one replaces it."]


def test_a_poison_task_ends_the_job():
    deaths = [message for name in (A, B, C) for message in ((name, "take", True), (name, "ended", f"{name} died."))]
    with pytest.raises(LostWorkerError, match=r"^task 0: 3 workers died over it, .* The last one: worker 3 died\. "):
        run(ScriptedTransport(*deaths), 2, ["x"])


def test_workers_that_never_take_a_task_end_the_job():
    transport = ScriptedTransport(*((name, "ended", f"{name} died.") for name in (A, B, C)))
    with pytest.raises(LostWorkerError, match=r"^3 workers in a row died before .* The last one: worker 3 died\.$"):
        run(transport, 2, ["x"])
    assert [name for name, _ in transport.started] == [A, B, C]


def test_an_error_of_a_worker_ends_the_job_as_it_was_raised():
    error = DataError("a message")
    with pytest.raises(DataError) as raised:
        run(ScriptedTransport((A, "take", True), (A, "failed", error)), 2, ["x"])
    assert raised.value is error


def test_an_unknown_message_is_an_error():
    with pytest.raises(ValueError, match="unknown message of worker 1"):
        run(ScriptedTransport((A, "take")), 1, ["x"])
