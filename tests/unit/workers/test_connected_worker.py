"""What a worker sends: progress is collected, and never later than the end of its task."""

from expclip_cache.base import DataError, LostWorkerError
from expclip_cache.workers import connected_worker
from expclip_cache.workers.connected_worker import ConnectedWorker, Connection, run_worker
from file_tasks import WriteFiles


class RecordingConnection(Connection):
    """Records what is sent together, and answers from a list."""

    def __init__(self, *answers):
        self.sent, self.answers = [], list(answers)

    def send(self, *messages):
        self.sent.append(messages)

    def ask(self, *messages):
        self.sent.append(messages)
        return self.answers.pop(0)


def test_progress_is_sent_with_the_end_of_its_task_and_with_the_next_question():
    connection = RecordingConnection(3, 4, None)
    worker = ConnectedWorker(connection)
    assert [worker.take(idle=True), worker.take(idle=False)] == [3, 4]
    for task in (3, 3, 4):
        worker.advance(task, 5)
    worker.finished(3, "record")
    assert worker.take(idle=False) is None
    assert connection.sent == [
        (("take", True),),
        (("take", False),),
        (("advance", 3, 10), ("finished", 3, "record")),
        (("advance", 4, 5), ("take", False)),
    ]


def test_progress_is_sent_at_intervals(monkeypatch):
    monkeypatch.setattr(connected_worker, "PROGRESS_SECONDS", 0.0)
    connection = RecordingConnection()
    ConnectedWorker(connection).advance(3, 5)
    assert connection.sent == [(("advance", 3, 5),)]


def test_a_worker_function_runs_to_its_end(tmp_path):
    connection = RecordingConnection("facts", 0, None, None)
    run_worker(WriteFiles(tmp_path), "cpu", connection)
    kinds = [message[0] for messages in connection.sent for message in messages]
    assert kinds == ["ready", "take", "take", "advance", "finished", "take"]


def test_errors_are_reported():
    def raising(error):
        def function(worker, device):
            raise error

        connection = RecordingConnection()
        run_worker(function, "cpu", connection)
        ((message,),) = connection.sent
        return message

    error = DataError("a message")
    assert raising(LostWorkerError("a reason")) == ("lost", "a reason")
    assert raising(error) == ("failed", error)
    kind, bug = raising(ZeroDivisionError("a bug"))
    assert kind == "failed"
    assert isinstance(bug, RuntimeError)
    assert "Traceback" in str(bug)
    assert "ZeroDivisionError: a bug" in str(bug)
