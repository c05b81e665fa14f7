"""Great Expectations, run so that it keeps counts only: no example rows, no files but Data Docs, no analytics.

A rule about all rows of a large table is counted beforehand, and its ``Count`` judged and recorded here; any other is
a ``Rule`` over a frame.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lethe.data.gates.report import Check, Report
from lethe.errors import ValidationError

# With no room for examples the results say how many rows broke a rule, never which.
_COUNTS_ONLY = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
_SITE = "lethe"


@dataclass(frozen=True)
class Rule:
    """One expectation by its name in great_expectations, its arguments, and the rule in words ("be …", "hold …")."""

    expectation: str
    rule: str
    column: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Count:
    """What was counted of a rule about all rows, and between which numbers it must lie.

    ``expectation`` is the one of great_expectations that would look at the rows themselves.
    """

    expectation: str
    rule: str
    column: str
    value: int
    least: int = 0
    most: int | None = 0
    failed: int | None = None
    """How many rows break the rule; None: as many as were counted, or none of them where the rule is about a table."""
    got: str = ""
    """What there is instead, where the rule says what there should be."""

    def check(self, success: bool) -> Check:
        broken = self.value if self.failed is None and self.column else self.failed
        words = f"{self.rule}, got {self.got}" if self.got and not success else self.rule
        return Check(self.expectation, self.column, words, 0 if success else broken, success)


class Engine:
    """One run's context, in memory; Data Docs go to ``docs`` where it is given."""

    def __init__(self, docs: Path | None = None) -> None:
        with _nothing_collected():
            import great_expectations as gx
            from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

        self._gx = gx
        self._docs = docs
        # Left to itself it would put a site into the system's temporary folder.
        config = DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            progress_bars={"globally": False, "metric_calculations": False},
            analytics_enabled=False,
        )
        self._context = gx.get_context(mode="ephemeral", project_config=config)
        self._frames = self._context.data_sources.add_pandas("lethe")

    def judge(self, suite: str, frame: Any, rules: Sequence[Rule]) -> Report:
        """Check a pandas frame against rules. Raises ValidationError where a rule could not be evaluated at all."""
        gx = self._gx
        # An expectation's place comes back in its meta: results come in an order of their own.
        expectations = [
            getattr(gx.expectations, rule.expectation)(
                **({"column": rule.column} if rule.column else {}), **rule.arguments, meta={"place": place}
            )
            for place, rule in enumerate(rules)
        ]
        batch = self._frames.add_dataframe_asset(suite).add_batch_definition_whole_dataframe("whole")
        definition = gx.ValidationDefinition(
            name=suite,
            data=batch,
            suite=self._context.suites.add(gx.ExpectationSuite(suite, expectations=expectations)),
        )
        checkpoint = gx.Checkpoint(
            name=suite,
            validation_definitions=[self._context.validation_definitions.add(definition)],
            result_format=_COUNTS_ONLY,
        )
        run = self._context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame})
        (result,) = run.run_results.values()
        checks = {one.expectation_config.meta["place"]: one for one in result.results}
        for place, rule in enumerate(rules):
            if _raised(checks[place].exception_info):
                # The exception's own text, which Data Docs would show, may quote a value.
                self._docs = None
                raise ValidationError(f"{suite}: {rule.expectation} on column {rule.column!r} could not be evaluated")
        return Report(suite, tuple(_check(rule, checks[place], len(frame)) for place, rule in enumerate(rules)))

    def record(self, suite: str, counts: Sequence[Count]) -> Report:
        """Judge what was counted: one row, a column a rule."""
        import pandas as pd

        between = "ExpectColumnValuesToBeBetween"
        names = [str(count.check(True)) for count in counts]
        rules = [
            Rule(between, "lie between", name, {"min_value": count.least, "max_value": count.most})
            for name, count in zip(names, counts, strict=True)
        ]
        frame = pd.DataFrame({name: [count.value] for name, count in zip(names, counts, strict=True)}, dtype="int64")
        judged = self.judge(suite, frame, rules).checks
        return Report(suite, tuple(count.check(of.success) for count, of in zip(counts, judged, strict=True)))

    def write_docs(self) -> None:
        """Render what was judged as Data Docs."""
        if self._docs is not None:
            store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(self._docs)}
            index = {"class_name": "DefaultSiteIndexBuilder"}
            self._context.add_data_docs_site(
                _SITE, {"class_name": "SiteBuilder", "store_backend": store, "site_index_builder": index}
            )
            self._context.build_data_docs(site_names=[_SITE])


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """While much is imported that stays: to look through it for garbage, again and again, is a fifth of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


def _check(rule: Rule, outcome: Any, rows: int) -> Check:
    words, success = rule.rule, bool(outcome.success)
    if not success and "observed_value" in outcome.result:
        # The rules here that have one observe a type or a number of rows: neither tells of a person.
        words += f", got {outcome.result['observed_value']}"
    failed = outcome.result.get("unexpected_count", rows if rule.column else None)
    return Check(rule.expectation, rule.column, words, 0 if success else failed, success)


def _raised(info: dict[str, Any]) -> bool:
    # Either one record or, of several metrics, a record each.
    records = [info] if "raised_exception" in info else list(info.values())
    return any(record["raised_exception"] for record in records)
