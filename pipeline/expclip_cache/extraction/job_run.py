"""One job, from the lock of its cache to its index: survey and decide before its shards are made, finish after."""

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

from expclip_cache.base import ExpclipError, ReadOnlyCacheError, Reporter, SettingsError
from expclip_cache.cache import INDEX, CacheSettings, CacheWriter, FeatureCache, ShardEntry, plan_shards
from expclip_cache.datasets import Root
from expclip_cache.extraction.complete import record_other_parts, refuse_all_skipped
from expclip_cache.extraction.decide import Decision, Request, decide
from expclip_cache.extraction.jobs import Job, RequestedEncoder
from expclip_cache.extraction.prepare import prepare
from expclip_cache.extraction.survey import Survey, survey


class JobRun:
    """What becomes of one job.

    Attributes:
        encoder: the job's, or the same one of another job.
        writer: of the cache; records the shards that are made.
        plan: the rows of each shard of the cache.
        decision: which shards to make, and how.
        root: folder or address of the images, if there is a shard to make.
        there: shards that are there and stay; those that are made must come from the same encoder.
        commits: of the repositories on the hub that the features there were made from; missing shards are made from
            the same, so that a commit on the hub does not strand a cache that is half finished.
        is_open: whether the cache is locked, and its index still to be written.
        cache: the complete cache.
        failure: why the cache cannot be made.
    """

    decision: Decision
    root: Root
    _request: Request

    def __init__(self, job: Job, encoder: RequestedEncoder, cache: CacheSettings, part: range | None, report: Reporter):
        """Nothing is locked or looked at yet.

        Raises:
            SettingsError: `part` is not a part of the plan.
        """
        self.job, self.encoder, self._cache, self._report = job, encoder, cache, report
        self.plan: Sequence[range] = plan_shards(len(job.manifest.rows), cache.shard_rows)
        self._whole, numbers = part is None, range(len(self.plan)) if part is None else part
        if not 0 <= numbers.start < numbers.stop <= len(self.plan):
            raise SettingsError(f"shards {numbers.start}:{numbers.stop}: expected a part of 0:{len(self.plan)}.")
        self._numbers = numbers
        self.writer = CacheWriter(
            job.out,
            manifest=job.manifest,
            settings=job.settings,
            shard_rows=cache.shard_rows,
            dtype=cache.dtype,
            part=part,
        )
        self.there: Sequence[ShardEntry] = ()
        self.commits: tuple[str, ...] = ()
        self.is_open = False
        self.cache: FeatureCache | None = None
        self.failure: ExpclipError | None = None
        self._unlock = ExitStack()

    @property
    def can_go_on(self) -> bool:
        """Whether there is something left to do that may succeed."""
        return self.is_open and not self.failure

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unlock the cache if it is still open; it stays without an index."""
        error, self.is_open = error or self.failure, False
        self._unlock.__exit__(type(error) if error else None, error, trace)

    def begin(self) -> None:
        """Lock the cache, survey it, decide, and prepare it for the shards to make; if it is complete, unlock it.

        Raises:
            CacheError, DataError: see `run_job`; the cache is unlocked.
        """
        with ExitStack() as stack:
            read_only = None
            try:
                stack.enter_context(self.writer)
            except ReadOnlyCacheError as error:
                read_only = error
            found = survey(self.writer.store, self._numbers, self._cache.retry_skipped)
            self.commits = found.commits
            self._request = self._requested(found)
            self.decision = decide(found, self._request)
            # What is complete is of use where it cannot be written, such as on a disk that others share.
            if read_only and not self.decision.complete:
                raise read_only
            for note in (*found.damage, *self.decision.notes):
                self._report.say(note)
            if self.decision.encode:
                self.root = self.job.root()
            if not read_only:
                prepare(self.decision, self.writer)
            if self.decision.complete and found.index:
                self._report.say(f"{self.job.out}: complete, {len(found.index)} rows; nothing to do")
                self.cache = found.index
                return
            if kept := len(self._numbers) - len(self.decision.encode):
                self._report.say(f"{self.job.out}: {kept} of {len(self._numbers)} shards are there already")
            self.there = () if self.decision.replace else found.entries
            self.commits = () if self.decision.replace else self.commits
            self._unlock, self.is_open = stack.pop_all(), True

    def finish(self, *, others: bool) -> None:
        """Write the index if every shard is there, and unlock the cache; what prevents it is noted as the failure.

        Args:
            others: see `fail`.
        """
        self.is_open = False
        try:
            self._finish()
        except ExpclipError as error:
            self.fail(error, others=others)

    def _finish(self) -> None:
        with self._unlock:
            if not self._whole:
                record_other_parts(self.writer, self._request, self._report)
            if missing := len(self.plan) - len(self.writer.recorded):
                left = f"{missing} of {len(self.plan)} shards are still to be made"
                self._report.say(f"{self.job.out}: this part is done; {left}")
                return
            refuse_all_skipped(self.job.manifest, self.writer)
            self.cache = self.writer.finish()
        if self.cache and self.cache.skipped:
            skipped = f"{len(self.cache.skipped)} of {len(self.cache)} rows could not be read"
            self._report.say(f"{self.job.out}: {skipped}; see {INDEX}")

    def fail(self, error: ExpclipError, *, others: bool) -> None:
        """Note why the cache cannot be made; the first reason counts.

        Args:
            others: whether others go on, so that the user is told now.
        """
        if others and not self.failure:
            self._report.say(f"{self.job.out}: cannot be made, the others go on: {error}")
        self.failure = self.failure or error

    def _requested(self, found: Survey) -> Request:
        return Request(
            out=str(self.job.out),
            settings=self.writer.settings,
            # Hashing the weights of a large model takes minutes, and an empty folder has nothing to compare.
            files=self.encoder.files(self.commits) if found.index or found.entries else None,
            revision=self.encoder.revision,
            libraries=self.encoder.libraries(),
            plan=self.plan,
            shard_rows=self._cache.shard_rows,
            part=self._numbers,
            whole=self._whole,
            on_mismatch=self._cache.on_mismatch,
            on_other_library=self._cache.on_other_library,
            retry_skipped=self._cache.retry_skipped,
        )
