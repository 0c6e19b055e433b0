"""The JSON of the HTTP API: pydantic models that describe it in OpenAPI, and how a result becomes one.

The API shows what an analyst may use: leases, attempts and owners of work stay inside. Fields may be added; none
is renamed or removed without a new path.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from pydantic import BaseModel, Field

from blotter.crimes.item import Result
from blotter.crimes.web import paths

Status = Literal["UPLOADED", "PROCESSING", "COMPLETED", "FAILED"]


class Group(BaseModel):
    """One entry of a breakdown."""

    rows: int = Field(description="Scored incidents.")
    mean_probability: float = Field(description="Mean probability of arrest, 0 to 1.")
    predicted_arrests: int = Field(description="Incidents with a probability above 0.5.")
    expected_arrests: float = Field(default=0.0, description="Sum of the probabilities.")
    outcome_rows: int = Field(default=0, description="Scored incidents whose Arrest column can be read.")
    actual_arrests: int | None = Field(default=None, description="Recorded arrests among them.")


class CalibrationBin(BaseModel):
    """Incidents of a range of probability: what was predicted and what the file records."""

    low: float
    high: float
    rows: int
    predicted: float = Field(description="Mean probability.")
    observed: float = Field(description="Share with a recorded arrest.")


class Outcomes(BaseModel):
    """Predictions against the file's own Arrest column."""

    rows: int = Field(description="Scored incidents whose Arrest column can be read.")
    actual_arrests: int
    expected_arrests: float
    brier: float = Field(description="Mean squared error of the probabilities.")
    roc_auc: float | None
    calibration_error: float = Field(description="Expected calibration error.")
    calibration: list[CalibrationBin]
    rows_by_step: list[int] = Field(description="Incidents in 100 equal steps of probability.")
    arrests_by_step: list[int] = Field(description="Recorded arrests in the same steps.")


class Timeline(BaseModel):
    """Incidents by day, month or year, whichever suits the file's span."""

    unit: Literal["day", "month", "year"]
    groups: dict[str, Group] = Field(description="By `2022-01-31`, `2022-01` or `2022`.")


class ColumnCheck(BaseModel):
    """How usable a column was in the scored incidents."""

    heading: str | None = Field(description="null: the file lacks the column.")
    blank: int
    unknown: int = Field(description="Values that the model has never seen or that cannot be read.")
    renamed: int = Field(description="Values read under the portal's newer name.")
    examples: list[str] = Field(description="Some unknown values.")


class Reading(BaseModel):
    """How the file was understood."""

    delimiter: str
    date_order: str
    date_order_reason: str
    date_example: str
    date_read_as: str


class Problem(BaseModel):
    """A row that was not scored."""

    line: int
    code: str
    column: str
    example: str
    message: str


class Note(BaseModel):
    """Something the reader of a result should know."""

    code: str
    message: str = Field(description="A sentence for people.")


class Risk(BaseModel):
    """Scored incidents by level."""

    high: int = Field(description="Probability above 0.7.")
    medium: int = Field(description="Probability above 0.3, up to 0.7.")
    low: int = Field(description="Probability up to 0.3.")


class Progress(BaseModel):
    """How far the work on a file is; also the data of every server-sent event."""

    file_key: str
    status: Status
    progress: int = Field(description="Percent of the file that is done, 0 to 100.")
    rows_read: int
    rows_scored: int
    rows_skipped: int
    error_code: str | None = Field(description="Why the file FAILED, as a stable name.")
    error_message: str | None = Field(description="Why the file FAILED, as a sentence.")


class ResultSummary(Progress):
    """A result as lists show it."""

    file_name: str = Field(description="The name the file had where it came from.")
    size_bytes: int
    uploaded_at: str | None = Field(description="ISO 8601, UTC.")
    started_at: str | None
    completed_at: str | None = Field(description="When it was COMPLETED or FAILED.")
    predicted_arrests: int = Field(description="Incidents with a probability above 0.5.")
    expected_arrests: float | None = Field(description="Sum of the probabilities.")
    expected_low: float | None = Field(description="Lower end of the 95 % interval of the number of arrests.")
    expected_high: float | None = Field(description="Its upper end.")
    mean_probability: float | None
    risk: Risk | None
    model_version: str | None


class ResultDetail(ResultSummary):
    """A result with everything that is known about it."""

    skipped_reasons: dict[str, int] = Field(description="Reason → skipped rows.")
    probability_histogram: list[int] = Field(description="Scored rows in 20 equal steps of probability, 0 to 1.")
    by_primary_type: dict[str, Group] = Field(description="By the portal's primary type.")
    by_hour: dict[str, Group] = Field(description='By hour of the day, "0" to "23" and "unknown".')
    by_weekday: dict[str, Group] = Field(description='By day of the week, "0" (Monday) to "6".')
    by_community_area: dict[str, Group] = Field(description='By community area, "1" to "77" and "unknown".')
    rows_by_step: list[int] = Field(description="Scored rows in 100 equal steps of probability, 0 to 1.")
    timeline: Timeline | None
    outcomes: Outcomes | None = Field(description="null without a readable Arrest column.")
    midnight_rows: int = Field(description="Incidents at exactly 00:00:00, mostly without a known time.")
    date_only_rows: int = Field(description="Incidents with a day but no time.")
    first_day: str | None = Field(description="ISO day of the first scored incident.")
    last_day: str | None
    columns: dict[str, ColumnCheck]
    reading: Reading | None
    problems: list[Problem] = Field(description="The first skipped rows of each kind.")
    notes: list[Note]
    trained_from: str | None = Field(description="First day that the model was trained on.")
    trained_to: str | None
    training_overlap_rows: int = Field(description="Scored incidents inside the training period.")
    predictions_url: str | None = Field(description="Where the predictions are, once COMPLETED.")


class ResultPage(BaseModel):
    """Some results in the table's own (hash) order; ask again with `next` until it is null."""

    results: list[ResultSummary]
    next: str | None


class Accepted(BaseModel):
    """A file was taken in and will be worked on."""

    file_key: str
    result_url: str
    events_url: str
    page_url: str


class Health(BaseModel):
    """`ok` when the results table answers."""

    status: Literal["ok"]
    version: str
    table: str


class ErrorDetail(BaseModel):
    code: str = Field(description="A stable name for programs.")
    message: str = Field(description="A sentence for people.")


class Error(BaseModel):
    """Every answer that is not a success."""

    error: ErrorDetail


_PROGRESS = tuple(Progress.model_fields)
_SUMMARY = tuple(ResultSummary.model_fields)
_DETAIL = tuple(name for name in ResultDetail.model_fields if name != "predictions_url")


def progress_of(result: Result) -> dict[str, Any]:
    return _pick(result, _PROGRESS)


def summary_of(result: Result) -> dict[str, Any]:
    return _pick(result, _SUMMARY)


def detail_of(result: Result) -> dict[str, Any]:
    done = result.status == "COMPLETED" and result.predictions_key
    return _pick(result, _DETAIL) | {"predictions_url": paths.predictions_api(result.file_key) if done else None}


def accepted(file_key: str) -> dict[str, str]:
    return {
        "file_key": file_key,
        "result_url": paths.result_api(file_key),
        "events_url": paths.events_api(file_key),
        "page_url": paths.result_page(file_key),
    }


def _pick(result: Result, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: msgspec.to_builtins(getattr(result, name)) for name in names}
