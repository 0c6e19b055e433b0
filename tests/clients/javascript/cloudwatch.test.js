// CloudWatch with the JavaScript SDK v3, which speaks RPC v2 CBOR and compresses what it publishes.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CloudWatchClient,
  DeleteAlarmsCommand,
  DescribeAlarmsCommand,
  GetMetricDataCommand,
  GetMetricStatisticsCommand,
  PutMetricAlarmCommand,
  PutMetricDataCommand,
  ResourceNotFound,
  SetAlarmStateCommand,
  paginateGetMetricData,
  paginateListMetrics,
} from "@aws-sdk/client-cloudwatch";
import { all } from "./support.js";

const cloudwatch = new CloudWatchClient({});
const Namespace = "JavaScript";
const MINUTE = 60_000;
const noon = Math.floor(Date.now() / MINUTE) * MINUTE - 10 * MINUTE;
const metric = (Id, MetricName) => ({
  Id,
  MetricStat: { Metric: { Namespace, MetricName }, Period: 60, Stat: "Sum" },
});

test("metrics go in and come back, with math", async () => {
  const times = [0, 1, 2].map((n) => new Date(noon + n * MINUTE));
  const MetricData = times.map((Timestamp, n) => ({ MetricName: "load", Timestamp, Values: [n, 0.5], Counts: [2, 1] }));
  await cloudwatch.send(new PutMetricDataCommand({ Namespace, MetricData }));
  const range = { StartTime: times[0], EndTime: new Date(noon + 3 * MINUTE) };
  const { Datapoints } = await cloudwatch.send(
    new GetMetricStatisticsCommand({
      Namespace,
      MetricName: "load",
      Period: 180,
      Statistics: ["Sum", "SampleCount"],
      ...range,
    }),
  );
  assert.equal(Datapoints.reduce((sum, point) => sum + point.Sum, 0), 7.5);
  const asked = {
    MetricDataQueries: [metric("m", "load"), { Id: "e", Expression: "m * 2 + AVG(m)", Label: "twice" }],
    ScanBy: "TimestampAscending",
    ...range,
  };
  const { MetricDataResults } = await cloudwatch.send(new GetMetricDataCommand(asked));
  assert.deepEqual(
    MetricDataResults.map(({ Id, Label, Values }) => [Id, Label, Values]),
    [
      ["m", "load", [0.5, 2.5, 4.5]],
      ["e", "twice", [3.5, 7.5, 11.5]],
    ],
  );
  assert.deepEqual(MetricDataResults[0].Timestamps, times);
  const pages = await all(paginateGetMetricData({ client: cloudwatch, pageSize: 2 }, asked));
  assert.deepEqual(
    pages.flatMap((page) => page.MetricDataResults.flatMap((result) => result.Values)),
    [0.5, 2.5, 4.5, 3.5, 7.5, 11.5],
  );
});

test("what is large is compressed", async () => {
  const MetricData = Array.from({ length: 600 }, (_, n) => ({
    MetricName: `metric-${String(n).padStart(3, "0")}`,
    Dimensions: [{ Name: "Host", Value: "a".repeat(100) }],
    Value: n,
  }));
  await cloudwatch.send(new PutMetricDataCommand({ Namespace: "Compressed", MetricData }));
  const pages = await all(paginateListMetrics({ client: cloudwatch }, { Namespace: "Compressed" }));
  assert.deepEqual(pages.map((page) => page.Metrics.length), [500, 100]);
});

test("alarms, and errors as the SDK's classes", async () => {
  const AlarmName = "javascript";
  await cloudwatch.send(
    new PutMetricAlarmCommand({
      AlarmName,
      Namespace,
      MetricName: "none",
      Statistic: "Average",
      Period: 60,
      EvaluationPeriods: 2,
      Threshold: 0.25,
      ComparisonOperator: "LessThanThreshold",
      TreatMissingData: "ignore",
    }),
  );
  const set = { AlarmName, StateValue: "ALARM", StateReason: "a test" };
  await cloudwatch.send(new SetAlarmStateCommand(set));
  const { MetricAlarms } = await cloudwatch.send(new DescribeAlarmsCommand({ AlarmNames: [AlarmName] }));
  const [{ StateValue, Threshold, StateUpdatedTimestamp }] = MetricAlarms;
  assert.deepEqual([StateValue, Threshold], ["ALARM", 0.25]);
  assert.ok(Math.abs(StateUpdatedTimestamp - Date.now()) < 10 * MINUTE);
  await cloudwatch.send(new DeleteAlarmsCommand({ AlarmNames: [AlarmName] }));
  await assert.rejects(cloudwatch.send(new SetAlarmStateCommand(set)), ResourceNotFound);
});
