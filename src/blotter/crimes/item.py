"""The result item: the attributes that one file's item has in the results table, as typed values.

Owns names, units and defaults; `storage/results.py` writes them and the pages read them. Attributes are added,
never renamed, and every new one has a default, so that items written by an older version are still read.
Everything in an item is bounded, because DynamoDB takes 400 KB: breakdowns are capped where they are made
(`scoring/summary.py`). Maps come back from DynamoDB in no particular order: readers sort by key. Must not depend
on tables, files or models.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from blotter.crimes.clock import find_time

Status = Literal["UPLOADED", "PROCESSING", "COMPLETED", "FAILED"]


class Group(msgspec.Struct, frozen=True):
    """One entry of a breakdown, over its scored rows.

    `expected_arrests` is the sum of the probabilities. `actual_arrests` counts the recorded arrests among the
    `outcome_rows` whose Arrest column can be read; None when there are none.
    """

    rows: int
    mean_probability: float
    predicted_arrests: int
    expected_arrests: float = 0.0
    outcome_rows: int = 0
    actual_arrests: int | None = None


class Risk(msgspec.Struct, frozen=True):
    """Scored rows by level: high above 0.7, medium above 0.3, low the rest."""

    high: int = 0
    medium: int = 0
    low: int = 0


class CalibrationBin(msgspec.Struct, frozen=True):
    """Rows with a probability in [low, high): how many, their mean probability, their share of arrests."""

    low: float
    high: float
    rows: int
    predicted: float
    observed: float


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions against the file's own Arrest column, over the scored rows where it can be read.

    `rows_by_step` and `arrests_by_step` count rows and recorded arrests in 100 equal steps of probability, so that
    a page can move a threshold. `roc_auc` is None when the rows have one outcome only.
    """

    rows: int
    actual_arrests: int
    expected_arrests: float
    brier: float
    roc_auc: float | None = None
    calibration_error: float
    calibration: list[CalibrationBin]
    rows_by_step: list[int]
    arrests_by_step: list[int]


class Timeline(msgspec.Struct, frozen=True):
    """Groups by day (`2022-01-31`), month (`2022-01`) or year (`2022`), whichever suits the file's span."""

    unit: Literal["day", "month", "year"]
    groups: dict[str, Group]


class ColumnCheck(msgspec.Struct, frozen=True):
    """How usable one of the model's columns was in the scored rows.

    `heading` is None when the file lacks the column. `unknown` counts values that the model has never seen or
    that cannot be read, `renamed` those read under the portal's newer name, `examples` up to five unknown ones.
    """

    heading: str | None = None
    blank: int = 0
    unknown: int = 0
    renamed: int = 0
    examples: list[str] = []


class Reading(msgspec.Struct, frozen=True):
    """How the file was understood. `date_example` is a date of the file, `date_read_as` what it was taken for."""

    delimiter: str = "comma"
    """comma, semicolon, tab or bar"""
    date_order: str = ""
    """year first, month first, day first, or "" when the dates show none"""
    date_order_reason: str = ""
    date_example: str = ""
    date_read_as: str = ""


class Problem(msgspec.Struct, frozen=True):
    """A row that was not scored: its first line in the file, the reason's code, the column and its value."""

    line: int
    code: str
    column: str
    example: str
    message: str


class Note(msgspec.Struct, frozen=True):
    """Something the reader of the result should know; `message` is a sentence for people."""

    code: str
    message: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What scoring a file finds. A predicted arrest is a row with probability above 0.5.

    `expected_arrests` is the sum of the probabilities; `expected_low` and `expected_high` enclose the number of
    arrests with about 95 % probability. `probability_histogram` counts scored rows in 20 equal steps of
    probability from 0 to 1, `rows_by_step` in 100. Keys of `by_hour` are "0".."23" and "unknown" (a day without a
    time), of `by_weekday` "0" (Monday).."6", of `by_community_area` "1".."77" and "unknown". `midnight_rows` lie
    at exactly 00:00:00, which the portal writes where the time is not known. `first_day` and `last_day` are the
    ISO days of the scored incidents, `trained_from` and `trained_to` those of the model's training period, and
    `training_overlap_rows` counts the scored rows inside it.
    """

    rows_read: int = 0
    rows_scored: int = 0
    rows_skipped: int = 0
    skipped_reasons: dict[str, int] = {}
    predicted_arrests: int = 0
    expected_arrests: float | None = None
    expected_low: float | None = None
    expected_high: float | None = None
    mean_probability: float | None = None
    risk: Risk | None = None
    probability_histogram: list[int] = []
    rows_by_step: list[int] = []
    by_primary_type: dict[str, Group] = {}
    by_hour: dict[str, Group] = {}
    by_weekday: dict[str, Group] = {}
    by_community_area: dict[str, Group] = {}
    timeline: Timeline | None = None
    outcomes: Outcomes | None = None
    midnight_rows: int = 0
    date_only_rows: int = 0
    first_day: str | None = None
    last_day: str | None = None
    columns: dict[str, ColumnCheck] = {}
    reading: Reading | None = None
    problems: list[Problem] = []
    notes: list[Note] = []
    trained_from: str | None = None
    trained_to: str | None = None
    training_overlap_rows: int = 0
    model_version: str | None = None


class Result(Summary, frozen=True, kw_only=True):
    """A result item: the summary, and what is known before and besides it.

    Times are ISO 8601 UTC with milliseconds; what is not known yet is None or empty. Attributes the item has
    beyond these are ignored: the table's schema grows without migration.
    """

    file_key: str
    status: Status
    file_name: str = ""
    object_version: str = ""
    size_bytes: int = 0
    uploaded_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    progress: int = 0
    predictions_key: str | None = None
    attempt: int = 0
    lease_owner: str | None = None
    lease_until: str | None = None
    error_code: str | None = None
    error_message: str | None = None

    @property
    def finished(self) -> bool:
        return self.status in ("COMPLETED", "FAILED")

    def lease_ended(self, now: float) -> bool:
        """Whether no worker holds the file any more; `now` in seconds since the epoch.

        A time that cannot be read (another program wrote the item) counts as ended.
        """
        until = find_time(self.lease_until)
        return until is None or until <= now


# Attributes that only a single result shows; lists leave them out.
DETAIL_ATTRIBUTES = frozenset(
    {
        "by_primary_type",
        "by_hour",
        "by_weekday",
        "by_community_area",
        "timeline",
        "outcomes",
        "columns",
        "reading",
        "problems",
        "notes",
        "probability_histogram",
        "rows_by_step",
        "skipped_reasons",
        "lease_owner",
    }
)
