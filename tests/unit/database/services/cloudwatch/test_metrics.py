"""PutMetricData, ListMetrics, GetMetricStatistics, GetMetricData: what AWS answers.

Most of it was recorded from AWS by LocalStack (tests/aws/services/cloudwatch/test_cloudwatch.snapshot.json,
2025-09) and moto (tests/test_cloudwatch); messages that come from elsewhere are cited in the modules.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from blotter.database.services.cloudwatch import get_metric_data
from tests.cloudwatch_in_process import NOON, CloudWatchInProcess, expression, metric

MINUTE = 60


def statistics(cloudwatch: CloudWatchInProcess, **arguments: Any) -> list[dict[str, Any]]:
    """Data points of the metric `m` in the five minutes around now, without their times."""
    usual = {"Namespace": "N", "MetricName": "m", "Period": 60}
    usual |= {"StartTime": cloudwatch.now - 120, "EndTime": cloudwatch.now + 180}
    points = cloudwatch.call("GetMetricStatistics", **(usual | arguments))["Datapoints"]
    return [{name: value for name, value in point.items() if name != "Timestamp"} for point in points]


def test_what_is_put_is_there(each: CloudWatchInProcess) -> None:
    data = [{"MetricName": "m", "Value": value, "Unit": "Seconds"} for value in (0, 2, 4, 3.5, 7, 100)]
    each.call("PutMetricData", Namespace="N", MetricData=data)
    every = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"]
    expected = {"SampleCount": 6.0, "Average": 116.5 / 6, "Sum": 116.5, "Minimum": 0.0, "Maximum": 100.0}
    assert statistics(each, Statistics=every) == [expected | {"Unit": "Seconds"}]
    answer = each.call("ListMetrics", Namespace="N", MetricName="m")
    assert answer["Metrics"] == [{"Namespace": "N", "MetricName": "m", "Dimensions": []}]
    assert each.call("ListMetrics", Namespace="Other")["Metrics"] == []


def test_data_points_have_times_in_every_protocol(each: CloudWatchInProcess) -> None:
    each.put("m", 5)
    (result,) = each.call(
        "GetMetricData", MetricDataQueries=[metric("m1", "m")], StartTime=NOON - 60, EndTime=NOON + 60
    )["MetricDataResults"]
    assert result["Timestamps"] == [datetime.fromtimestamp(NOON, UTC)]
    assert (result["Values"], result["StatusCode"], result["Label"]) == ([5.0], "Complete", "m")
    (point,) = each.call(
        "GetMetricStatistics",
        Namespace="N",
        MetricName="m",
        Period=60,
        StartTime=NOON - 60,
        EndTime=NOON + 60,
        ExtendedStatistics=["p50", "TM(1:9)"],
    )["Datapoints"]
    assert point == {
        "Timestamp": datetime.fromtimestamp(NOON, UTC),
        "Unit": "None",
        "ExtendedStatistics": {"p50": 5.0, "TM(1:9)": 5.0},
    }


def test_values_and_counts(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.put("m", 1, 10, Counts=[2, 4], Unit="Count")
    found = statistics(cloudwatch, Statistics=["SampleCount", "Sum", "Maximum"])
    assert found == [{"SampleCount": 6.0, "Sum": 42.0, "Maximum": 10.0, "Unit": "Count"}]


def test_statistic_sets_add_up(cloudwatch: CloudWatchInProcess) -> None:
    values = {"SampleCount": 3.0, "Sum": 123.0, "Maximum": 100.0, "Minimum": 12.0}
    datum = {"MetricName": "m", "StatisticValues": values, "Unit": "Milliseconds"}
    cloudwatch.call("PutMetricData", Namespace="N", MetricData=[datum])
    cloudwatch.put("m", 101, Unit="Milliseconds")
    names = ["SampleCount", "Sum", "Minimum", "Maximum", "Average"]
    assert statistics(cloudwatch, Statistics=names) == [
        {
            "SampleCount": 4.0,
            "Sum": 224.0,
            "Minimum": 12.0,
            "Maximum": 101.0,
            "Average": 56.0,
            "Unit": "Milliseconds",
        }
    ]
    assert statistics(cloudwatch, ExtendedStatistics=["p50"]) == []  # The set does not tell it.


def test_units_are_series_of_their_own(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.put("m", 1, Unit="Seconds")
    cloudwatch.put("m", 5, Unit="Count")
    cloudwatch.put("m", 10)
    found = statistics(cloudwatch, Statistics=["Average"])
    assert found == [
        {"Average": 5.0, "Unit": "Count"},
        {"Average": 1.0, "Unit": "Seconds"},
        {"Average": 10.0, "Unit": "None"},
    ]
    assert statistics(cloudwatch, Statistics=["Average"], Unit="Seconds") == [{"Average": 1.0, "Unit": "Seconds"}]
    queries = [metric("any", "m"), metric("seconds", "m", Unit="Seconds"), metric("none", "m", Unit="Bytes")]
    answer = cloudwatch.call("GetMetricData", MetricDataQueries=queries, StartTime=NOON - 60, EndTime=NOON + 60)
    shown = {result["Id"]: (result["Values"], result.get("Messages")) for result in answer["MetricDataResults"]}
    message = {"Code": "MultipleUnits", "Value": "Multiple units returned: '[Count, Seconds, None]'"}
    assert shown == {"any": ([5.0], [message]), "seconds": ([1.0], None), "none": ([], None)}


def test_data_of_an_entity_are_published_like_others(cloudwatch: CloudWatchInProcess) -> None:
    data = [{"MetricName": "m", "Value": 4}]
    entity = {"Entity": {"KeyAttributes": {"Type": "Service", "Name": "x"}}, "MetricData": data}
    cloudwatch.call("PutMetricData", Namespace="N", EntityMetricData=[entity], MetricData=data)
    assert statistics(cloudwatch, Statistics=["Sum"]) == [{"Sum": 8.0, "Unit": "None"}]


def test_metrics_of_other_accounts_are_not_seen(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.put("m", 1)
    assert cloudwatch.call("ListMetrics", OwningAccount="999999999999")["Metrics"] == []
    answer = cloudwatch.call("ListMetrics", IncludeLinkedAccounts=True, OwningAccount="123456789012")
    assert (len(answer["Metrics"]), answer["OwningAccounts"]) == (1, ["123456789012"])


def test_dimensions_make_a_metric(cloudwatch: CloudWatchInProcess) -> None:
    """Whatever their order is; a part of them is another metric."""
    prod, rio = {"Name": "Server", "Value": "Prod"}, {"Name": "Domain", "Value": "Rio"}
    cloudwatch.put("m", 1, Dimensions=[prod, rio])
    cloudwatch.put("m", 2, Dimensions=[rio, prod])
    cloudwatch.put("m", 4, Dimensions=[prod])
    assert statistics(cloudwatch, Statistics=["Sum"], Dimensions=[rio, prod]) == [{"Sum": 3.0, "Unit": "None"}]
    assert statistics(cloudwatch, Statistics=["Sum"], Dimensions=[rio]) == []
    assert statistics(cloudwatch, Statistics=["Sum"]) == []
    for filters, count in (
        ([{"Name": "Server"}], 2),
        ([rio], 1),
        ([{"Name": "Server", "Value": "x"}], 0),
        ([], 2),
    ):
        assert len(cloudwatch.call("ListMetrics", Dimensions=filters)["Metrics"]) == count


def test_metrics_are_listed_in_pages(cloudwatch: CloudWatchInProcess) -> None:
    for start in (0, 600):
        data = [{"MetricName": f"m{n:04}", "Value": 1} for n in range(start, start + 600)]
        cloudwatch.call("PutMetricData", Namespace="N", MetricData=data)
    names: list[str] = []
    arguments: dict[str, Any] = {"Namespace": "N"}
    sizes = []
    while True:
        page = cloudwatch.call("ListMetrics", **arguments)
        names += [each["MetricName"] for each in page["Metrics"]]
        sizes.append(len(page["Metrics"]))
        if "NextToken" not in page:
            break
        cloudwatch.put("a new one", 1)  # Before the place of the token: it is not told, and nothing is told twice.
        arguments["NextToken"] = page["NextToken"]
    assert sizes == [500, 500, 200]
    assert names == [f"m{n:04}" for n in range(1200)]
    for token in ("nonsense", page["Metrics"][0]["MetricName"]):
        assert cloudwatch.refusal("ListMetrics", NextToken=token) == (
            "InvalidParameterValue",
            "Request parameter NextToken is invalid",
        )
    assert cloudwatch.refusal("ListMetrics", Namespace="Other", NextToken=arguments["NextToken"])[0]


def test_metrics_without_points_for_two_weeks_are_not_listed(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.put("m", 1)
    cloudwatch.now += 4 * 3600
    assert len(cloudwatch.call("ListMetrics")["Metrics"]) == 1
    assert cloudwatch.call("ListMetrics", RecentlyActive="PT3H")["Metrics"] == []
    cloudwatch.now += 15 * 86_400
    assert cloudwatch.call("ListMetrics")["Metrics"] == []


def test_periods_of_statistics_begin_with_the_start(cloudwatch: CloudWatchInProcess) -> None:
    for minute in range(10):
        cloudwatch.put("m", minute, at=NOON + 60 * minute)
    cloudwatch.now = NOON + 600
    points = cloudwatch.call(
        "GetMetricStatistics",
        Namespace="N",
        MetricName="m",
        Period=300,
        Statistics=["Sum"],
        StartTime=NOON + 125,
        EndTime=NOON + 600,
    )["Datapoints"]
    assert [(point["Timestamp"].timestamp() - NOON, point["Sum"]) for point in points] == [
        (120, 2 + 3 + 4 + 5 + 6),
        (420, 7 + 8 + 9),
    ]
    # Those of GetMetricData at multiples of their length.
    assert cloudwatch.values(metric("m1", "m", period=300), StartTime=NOON + 300, EndTime=NOON + 600) == {
        "m1": [5 + 6 + 7 + 8 + 9]
    }


def test_expressions_and_queries_that_are_not_returned(cloudwatch: CloudWatchInProcess) -> None:
    for minute, errors in enumerate((1, 0, 3)):
        cloudwatch.put("errors", errors, at=NOON - 180 + 60 * minute)
        cloudwatch.put("requests", 10, at=NOON - 180 + 60 * minute)
    found = cloudwatch.values(
        expression("rate", "100 * errors / requests", Label="Error rate"),
        metric("errors", "errors", ReturnData=False),
        metric("requests", "requests", ReturnData=False),
        expression("twice", "rate * 2"),
        expression("idle", "FILL(missing, 0) + requests - requests"),
        metric("missing", "nothing", ReturnData=False),
    )
    assert found == {"rate": [10.0, 0.0, 30.0], "twice": [20.0, 0.0, 60.0], "idle": [0.0] * 5}


def test_an_array_is_as_many_results(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.put("a", 1, at=NOON - 60)
    cloudwatch.put("b", 2, at=NOON - 60)
    queries = [
        metric("a", "a"),
        metric("b", "b", Label="Bee"),
        expression("e", "METRICS() * 10", Label="Ten times"),
    ]
    answer = cloudwatch.call("GetMetricData", MetricDataQueries=queries, StartTime=NOON - 300, EndTime=NOON)
    assert [(result["Id"], result["Label"], result["Values"]) for result in answer["MetricDataResults"]] == [
        ("a", "a", [1.0]),
        ("b", "Bee", [2.0]),
        ("e", "Ten times a", [10.0]),
        ("e", "Ten times Bee", [20.0]),
    ]
    assert answer["Messages"] == []


@pytest.mark.parametrize(
    ("queries", "labels"),
    [
        ([("Sum", 60), ("Minimum", 300)], ["m Sum 60", "m Minimum 300"]),
        ([("Sum", 60), ("Minimum", 60)], ["m Sum", "m Minimum"]),
        ([("Sum", 60), ("Sum", 300)], ["m 60", "m 300"]),
        ([("Sum", 60), ("Sum", 60)], ["m", "m"]),
    ],
)
def test_labels_tell_what_differs(
    cloudwatch: CloudWatchInProcess, queries: list[tuple[str, int]], labels: list[str]
) -> None:
    asked = [metric(f"q{n}", "m", stat, period) for n, (stat, period) in enumerate(queries)]
    answer = cloudwatch.call("GetMetricData", MetricDataQueries=asked, StartTime=NOON - 300, EndTime=NOON)
    assert [result["Label"] for result in answer["MetricDataResults"]] == labels


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("plain", "plain"),
        ("[max: ${MAX}, last: ${LAST}] ${LABEL}", "[max: 30, last: 2.5] m"),
        ("${AVG} ${SUM} ${MIN} ${DATAPOINT_COUNT}", "14.1667 42.5 2.5 3"),
        ("${FIRST} ${MIN_MAX_RANGE} ${FIRST_LAST_RANGE}", "10 27.5 7.5"),
        ("${PROP('MetricName')} ${PROP('Stat')} ${PROP('Period')}", "m Sum 60"),
        ("${PROP('Namespace')} ${PROP('Region')} ${PROP('AccountId')}", "N us-east-1 123456789012"),
        ("${PROP('Dim.Missing')}|", "|"),
        ("${FIRST_TIME}", "2026-11-30T11:57:00Z"),
        ("${MAX_TIME}", "2026-11-30T11:58:00Z"),
        ("${WHATEVER} $ {MAX}", "${WHATEVER} $ {MAX}"),
    ],
)
def test_dynamic_labels(cloudwatch: CloudWatchInProcess, label: str, shown: str) -> None:
    for minute, number in enumerate((10, 30, 2.5)):
        cloudwatch.put("m", number, at=NOON - 180 + 60 * minute)
    (result,) = cloudwatch.call(
        "GetMetricData",
        MetricDataQueries=[metric("q", "m", Label=label)],
        StartTime=NOON - 300,
        EndTime=NOON,
    )["MetricDataResults"]
    assert result["Label"] == shown


def test_what_a_request_may_ask_for_is_bounded(
    cloudwatch: CloudWatchInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in range(3):
        cloudwatch.put("m", 1, at=NOON - 60 * minute)
    times = {"StartTime": NOON - 300, "EndTime": NOON + 60}
    many = [metric(f"m{n}", "m") for n in range(501)]
    assert cloudwatch.refusal("GetMetricData", MetricDataQueries=many, **times)[1] == (
        "The collection MetricDataQueries must not have a size greater than 500."
    )
    long = {"StartTime": NOON - 86_400 * 71, "EndTime": NOON}
    assert cloudwatch.refusal("GetMetricData", MetricDataQueries=[metric("m", "m")], **long)[1] == (
        "You have requested up to 102240 datapoints, which exceeds the limit of 100800. You may reduce the "
        "datapoints requested by increasing Period, or decreasing the time range."
    )
    label = " ".join(["${MAX}"] * 7)
    assert cloudwatch.refusal("GetMetricData", MetricDataQueries=[metric("m", "m", Label=label)], **times)[1] == (
        "A label can have at most 5 dynamic values."
    )
    monkeypatch.setattr(get_metric_data, "MOST_READ", 5)
    assert cloudwatch.values(metric("m", "m"), minutes=9) == {"m": [1.0, 1.0]}
    assert cloudwatch.refusal("GetMetricData", MetricDataQueries=many[:2], **times)[1] == (
        "The metrics have more than 5 stored data points in this time range."
    )


def test_times_of_labels_in_a_zone(cloudwatch: CloudWatchInProcess) -> None:
    cloudwatch.put("m", 1, at=NOON - 60)
    arguments = {"MetricDataQueries": [metric("q", "m", Label="${LAST_TIME}")], "StartTime": NOON - 300}
    answer = cloudwatch.call("GetMetricData", EndTime=NOON, LabelOptions={"Timezone": "+0130"}, **arguments)
    assert answer["MetricDataResults"][0]["Label"] == "2026-11-30T13:29:00+01:30"
    refused = cloudwatch.refusal("GetMetricData", EndTime=NOON, LabelOptions={"Timezone": "UTC"}, **arguments)
    assert refused[0] == "ValidationError"


def test_values_come_in_pages(cloudwatch: CloudWatchInProcess) -> None:
    for minute in range(5):
        cloudwatch.put("a", minute, at=NOON - 300 + 60 * minute)
    cloudwatch.put("b", 100, at=NOON - 60)
    arguments: dict[str, Any] = {
        "MetricDataQueries": [metric("a", "a"), metric("none", "nothing"), metric("b", "b")],
        "StartTime": NOON - 300,
        "EndTime": NOON,
        "MaxDatapoints": 2,
    }
    pages = []
    while True:
        answer = cloudwatch.call("GetMetricData", **arguments)
        pages.append(
            [(result["Id"], result["Values"], result["StatusCode"]) for result in answer["MetricDataResults"]]
        )
        if "NextToken" not in answer:
            break
        arguments["NextToken"] = answer["NextToken"]
    assert pages == [
        [("a", [4.0, 3.0], "PartialData")],
        [("a", [2.0, 1.0], "PartialData")],
        [("a", [0.0], "Complete"), ("none", [], "Complete"), ("b", [100.0], "Complete")],
    ]
    arguments["MaxDatapoints"] = 3
    assert cloudwatch.refusal("GetMetricData", **arguments)[0] == "InvalidNextToken"


def pages_of(cloudwatch: CloudWatchInProcess, **arguments: Any) -> list[list[tuple[str, int]]]:
    """The results of each page: label and number of values."""
    pages = []
    while True:
        answer = cloudwatch.call("GetMetricData", StartTime=NOON - 300, EndTime=NOON, **arguments)
        pages.append([(result["Label"], len(result["Values"])) for result in answer["MetricDataResults"]])
        if "NextToken" not in answer:
            return pages
        arguments["NextToken"] = answer["NextToken"]


def test_pages_of_arrays_and_hidden_queries(
    cloudwatch: CloudWatchInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in range(5):
        cloudwatch.put("a", 1, at=NOON - 300 + 60 * minute)
        cloudwatch.put("b", 1, at=NOON - 300 + 60 * minute)
    hidden = [metric("a", "a", ReturnData=False), metric("b", "b", ReturnData=False)]
    queries = [expression("e", "METRICS() * 2"), *hidden, expression("f", "a + b")]
    asked = {"MetricDataQueries": queries, "MaxDatapoints": 5}
    assert pages_of(cloudwatch, **asked) == [[("e a", 5)], [("e b", 5)], [("f", 5)]]
    assert pages_of(cloudwatch, MetricDataQueries=queries[:3], MaxDatapoints=10) == [[("e a", 5), ("e b", 5)]]
    assert pages_of(cloudwatch, MetricDataQueries=queries, MaxDatapoints=12) == [
        [("e a", 5), ("e b", 5), ("f", 2)],
        [("f", 3)],
    ]
    monkeypatch.setattr(get_metric_data, "ENOUGH_READ", 10)
    assert pages_of(cloudwatch, MetricDataQueries=queries) == [[("e a", 5), ("e b", 5)], [("f", 5)]]


REFUSED_DATA: list[tuple[dict[str, Any], str, str]] = [
    ({}, "MissingParameter", "The parameter MetricData.member.1.MetricName is required."),
    (
        {"MetricName": "m"},
        "MissingParameter",
        "At least one of the parameters MetricData.member.1.Value, MetricData.member.1.Values or "
        "MetricData.member.1.StatisticValues must be specified.",
    ),
    (
        {"MetricName": "m", "Value": 1, "Values": [1.0]},
        "InvalidParameterCombination",
        "The parameters MetricData.member.1.Value and MetricData.member.1.Values are mutually exclusive and you "
        "have "
        "specified both.",
    ),
    (
        {"MetricName": "m", "Values": [1.0, 2.0], "Counts": [1.0]},
        "InvalidParameterValue",
        "The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size.",
    ),
    (
        {"MetricName": "m", "Value": float("nan")},
        "InvalidParameterValue",
        "The value NaN for parameter MetricData.member.1.Value is invalid.",
    ),
    (
        {"MetricName": "m", "Value": float("-inf")},
        "InvalidParameterValue",
        "The value -∞ for parameter MetricData.member.1.Value is invalid.",
    ),
    (
        {"MetricName": "m", "Value": 2.0**361},
        "InvalidParameterValue",
        "The value 4.6970851655476665e+108 for parameter MetricData.member.1.Value is invalid.",
    ),
    (
        {"MetricName": "m", "Value": 1, "Unit": "Parsec"},
        "InvalidParameterValue",
        "The parameter MetricData.member.1.Unit must be a value in the set [ Seconds, Microseconds, Milliseconds, "
        "Bytes, Kilobytes, Megabytes, Gigabytes, Terabytes, Bits, Kilobits, Megabits, Gigabits, Terabits, "
        "Percent, "
        "Count, Bytes/Second, Kilobytes/Second, Megabytes/Second, Gigabytes/Second, Terabytes/Second, "
        "Bits/Second, "
        "Kilobits/Second, Megabits/Second, Gigabits/Second, Terabits/Second, Count/Second, None ].",
    ),
    (
        {"MetricName": "m", "Value": 1, "Timestamp": NOON - 15 * 86_400},
        "InvalidParameterValue",
        "The parameter MetricData.member.1.Timestamp must specify a time within the past two weeks.",
    ),
    (
        {"MetricName": "m", "Value": 1, "Timestamp": NOON + 3 * 3600},
        "InvalidParameterValue",
        "The parameter MetricData.member.1.Timestamp must specify a time within the past two weeks.",
    ),
    (
        {"MetricName": "m", "Value": 1, "StorageResolution": 30},
        "InvalidParameterValue",
        "The parameter MetricData.member.1.StorageResolution must be a value in the set [ 1, 60 ].",
    ),
    (
        {"MetricName": "m", "Value": 1, "Dimensions": [{"Name": "n", "Value": "v" * 1025}]},
        "InvalidParameterValue",
        "The parameter MetricData.member.1.Dimensions.member.1.Value must be shorter than 1025 characters.",
    ),
    (
        {"MetricName": "m", "Value": 1, "Dimensions": [{"Name": "n", "Value": "ü"}]},
        "InvalidParameterValue",
        "The value for parameter MetricData.member.1.Dimensions.member.1.Value contains non-ASCII characters.",
    ),
    (
        {"MetricName": "m", "Value": 1, "Dimensions": [{"Name": str(n), "Value": "v"} for n in range(31)]},
        "InvalidParameterValue",
        "The collection MetricData.member.1.Dimensions must not have a size greater than 30.",
    ),
    (
        {
            "MetricName": "m",
            "StatisticValues": {"SampleCount": 0.0, "Sum": 1.0, "Minimum": 1.0, "Maximum": 1.0},
        },
        "InvalidParameterValue",
        "The parameter MetricData.member.1.StatisticValues.SampleCount must not equal 0.",
    ),
    (
        {"MetricName": "m", "StatisticValues": {"SampleCount": 1.0, "Sum": 1.0, "Minimum": 2.0, "Maximum": 1.0}},
        "InvalidParameterValue",
        "The parameter MetricData.member.1.StatisticValues.Maximum must be greater than "
        "MetricData.member.1.StatisticValues.Minimum.",
    ),
    (
        {"MetricName": "m", "StatisticValues": {"SampleCount": -1.0, "Sum": 1.0, "Minimum": 1.0, "Maximum": 1.0}},
        "InvalidParameterValue",
        "The parameter MetricData.member.1.StatisticValues.SampleCount must be greater than 0.",
    ),
    (
        {"MetricName": "m", "Counts": [1.0], "Value": 1.0},
        "InvalidParameterCombination",
        "The parameter MetricData.member.1.Counts requires the parameter MetricData.member.1.Values.",
    ),
    (
        {"MetricName": "m", "Values": [1.0] * 151},
        "InvalidParameterValue",
        "The collection MetricData.member.1.Values must not have a size greater than 150.",
    ),
    (
        {"MetricName": "m", "Values": [1.0], "Counts": [-1.0]},
        "InvalidParameterValue",
        "The value -1.0 for parameter MetricData.member.1.Counts is invalid.",
    ),
    (
        {"MetricName": "m", "Value": 1.0, "Dimensions": [{"Name": "", "Value": "v"}]},
        "InvalidParameterValue",
        "The parameter MetricData.member.1.Dimensions.member.1.Name must be longer than 0 characters.",
    ),
    (
        {"MetricName": "m", "StatisticValues": {"SampleCount": 1.0}},
        "MissingParameter",
        "The parameter MetricData.member.1.StatisticValues.Sum is required.\n"
        "The parameter MetricData.member.1.StatisticValues.Minimum is required.\n"
        "The parameter MetricData.member.1.StatisticValues.Maximum is required.",
    ),
]


@pytest.mark.parametrize(("datum", "code", "message"), REFUSED_DATA)
def test_data_that_are_not_valid_change_nothing(
    cloudwatch: CloudWatchInProcess, datum: dict[str, Any], code: str, message: str
) -> None:
    assert cloudwatch.refusal("PutMetricData", Namespace="N", MetricData=[datum]) == (code, message)
    good = {"MetricName": "good", "Value": 1}
    assert cloudwatch.refusal("PutMetricData", Namespace="N", MetricData=[good, datum])[0] == code
    assert cloudwatch.call("ListMetrics")["Metrics"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ({"Namespace": "N"}, "MissingParameter", "The parameter MetricData is required."),
        ({}, "MissingParameter", "The parameter Namespace is required."),
        (
            {"Namespace": "AWS/Mine", "MetricData": [{"MetricName": "m", "Value": 1}]},
            "InvalidParameterValue",
            "The value AWS/ for parameter Namespace is invalid.",
        ),
        (
            {"Namespace": "N", "MetricData": [{"MetricName": "m", "Value": 1}] * 1001},
            "InvalidParameterValue",
            "The collection MetricData must not have a size greater than 1000.",
        ),
    ],
)
def test_requests_that_are_not_valid(
    cloudwatch: CloudWatchInProcess, arguments: dict[str, Any], code: str, message: str
) -> None:
    assert cloudwatch.refusal("PutMetricData", **arguments) == (code, message)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            {"Namespace": None, "MetricName": None, "Period": None},
            "MissingParameter",
            "The parameter Namespace is required.\nThe parameter MetricName is required.\n"
            "The parameter Period is required.",
        ),
        (
            {"Statistics": None},
            "InvalidParameterCombination",
            "Must specify either Statistics or ExtendedStatistics",
        ),
        (
            {"EndTime": NOON - 3600},
            "InvalidParameterValue",
            "The parameter StartTime must be less than the parameter EndTime.",
        ),
        (
            {"StartTime": NOON, "EndTime": NOON + 86_400, "Period": 1},
            "InvalidParameterCombination",
            "You have requested up to 86400 datapoints, which exceeds the limit of 1440. You may reduce the "
            "datapoints "
            "requested by increasing Period, or decreasing the time range.",
        ),
        (
            {"Period": 45},
            "InvalidParameterValue",
            "The parameter Period must be a value in the set [1, 5, 10, 20, 30] or a multiple of 60.",
        ),
        (
            {"Statistics": None, "ExtendedStatistics": ["90"]},
            "InvalidParameterValue",
            "The value 90 for parameter ExtendedStatistics is not supported.",
        ),
    ],
)
def test_statistics_that_are_not_valid(
    cloudwatch: CloudWatchInProcess, arguments: dict[str, Any], code: str, message: str
) -> None:
    usual = {"Namespace": "N", "MetricName": "m", "Period": 60, "Statistics": ["Sum"]}
    usual |= {"StartTime": NOON - 3600, "EndTime": NOON}
    given = {name: value for name, value in (usual | arguments).items() if value is not None}
    assert cloudwatch.refusal("GetMetricStatistics", **given) == (code, message)


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([{"Id": "q", "Label": "l"}], "The parameter MetricDataQueries.member.1.MetricStat is required.\n"),
        (
            [metric("M", "m")],
            "The value M for parameter MetricDataQueries.member.1.Id is not matching the expected pattern "
            "^[a-z][a-zA-Z0-9_]*$.",
        ),
        (
            [metric("m", "m"), metric("m", "m")],
            "The values for parameter id in MetricDataQueries are not unique.",
        ),
        (
            [metric("m", "m", stat="median")],
            "The value for parameter MetricDataQueries.member.1.MetricStat.Stat is not a valid statistic.",
        ),
        (
            [metric("m", "m") | {"Expression": "1"}],
            "The parameters MetricDataQueries.member.1.Expression and MetricDataQueries.member.1.MetricStat are "
            "mutually exclusive and you have specified both.",
        ),
        ([expression("e", "AVG([e])")], "Error in expression 'e': Circular dependency of 'e'"),
        ([expression("e", "SOME(5)")], "Error in expression 'e': Function 'SOME' not found"),
        ([expression("e", "m1")], "Error in expression 'e': ID 'm1' not found"),
        (
            [expression("e", "5")],
            "Error in expression 'e': The expression has to make a time series or an array of time series",
        ),
        ([expression("a", "b + 1"), expression("b", "a")], "Error in expression 'a': Circular dependency of 'a'"),
        (
            [expression("e", 'SELECT SUM(m) FROM "N"', Period=60)],
            "Error in expression 'e': Blotter does not implement Metrics Insights queries",
        ),
        (
            [expression("e", "SEARCH('{N} m', 'Sum', 60)")],
            "Error in expression 'e': Blotter does not implement the function SEARCH",
        ),
    ],
)
def test_queries_that_are_not_valid(
    cloudwatch: CloudWatchInProcess, queries: list[dict[str, Any]], message: str
) -> None:
    arguments = {"MetricDataQueries": queries, "StartTime": NOON - 300, "EndTime": NOON}
    assert cloudwatch.refusal("GetMetricData", **arguments) == ("ValidationError", message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"EndTime": NOON - 3600}, "The parameter EndTime must be greater than StartTime."),
        ({"EndTime": NOON - 300}, "The parameter StartTime must not equal parameter EndTime."),
        ({"EndTime": None}, "The parameter EndTime is required."),
        ({"MaxDatapoints": 0}, "The parameter MaxDatapoints must be greater than or equal to 1."),
    ],
)
def test_times_that_are_not_valid(
    cloudwatch: CloudWatchInProcess, arguments: dict[str, Any], message: str
) -> None:
    usual = {"MetricDataQueries": [metric("m", "m")], "StartTime": NOON - 300, "EndTime": NOON}
    given = {name: value for name, value in (usual | arguments).items() if value is not None}
    assert cloudwatch.refusal("GetMetricData", **given) == ("ValidationError", message)
