// Queries, scans, PartiQL and streams with the JavaScript SDK v3, with the paginators that programs use.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as streams from "@aws-sdk/client-dynamodb-streams";
import { DuplicateItemException } from "@aws-sdk/client-dynamodb";
import {
  BatchExecuteStatementCommand,
  BatchWriteCommand,
  DeleteCommand,
  ExecuteStatementCommand,
  ExecuteTransactionCommand,
  PutCommand,
  QueryCommand,
  paginateQuery,
  paginateScan,
} from "@aws-sdk/lib-dynamodb";
import { all, attributes, documents, keySchema, makeTable } from "./support.js";

test("queries and scans, page by page", async () => {
  const TableName = "javascript-reading";
  const Projection = { ProjectionType: "ALL" };
  await makeTable(TableName, {
    AttributeDefinitions: attributes({ pk: "S", sk: "N", rank: "N" }),
    LocalSecondaryIndexes: [{ IndexName: "by-rank", KeySchema: keySchema("pk", "rank"), Projection }],
  });
  for (const pk of ["p0", "p1"]) {
    const items = Array.from({ length: 25 }, (_, sk) => ({ pk, sk, rank: -sk, even: sk % 2 === 0 }));
    const puts = items.map((Item) => ({ PutRequest: { Item } }));
    await documents.send(new BatchWriteCommand({ RequestItems: { [TableName]: puts } }));
  }
  const pages = await all(
    paginateQuery(
      { client: documents, pageSize: 10 },
      {
        TableName,
        KeyConditionExpression: "pk = :p AND sk BETWEEN :from AND :to",
        FilterExpression: "even = :yes",
        ExpressionAttributeValues: { ":p": "p0", ":from": 1, ":to": 24, ":yes": true },
      },
    ),
  );
  assert.deepEqual(
    pages.map((page) => page.ScannedCount),
    [10, 10, 4],
  );
  assert.deepEqual(
    pages.flatMap((page) => page.Items).map(({ sk }) => sk),
    [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24],
  );
  const last = await documents.send(
    new QueryCommand({
      TableName,
      IndexName: "by-rank",
      KeyConditionExpression: "pk = :p AND #rank > :rank",
      ExpressionAttributeNames: { "#rank": "rank" },
      ExpressionAttributeValues: { ":p": "p1", ":rank": -10 },
      ScanIndexForward: false,
      Limit: 1,
    }),
  );
  assert.deepEqual(last.Items, [{ pk: "p1", sk: 0, rank: 0, even: true }]);
  assert.deepEqual(last.LastEvaluatedKey, { pk: "p1", sk: 0, rank: 0 });
  const segments = await Promise.all(
    [0, 1].map((Segment) =>
      all(paginateScan({ client: documents, pageSize: 7 }, { TableName, Segment, TotalSegments: 2 })),
    ),
  );
  const seen = segments.flat().flatMap((page) => page.Items ?? []);
  assert.equal(new Set(seen.map(({ pk, sk }) => `${pk} ${sk}`)).size, 50);
  assert.equal(seen.length, 50);
});

test("PartiQL", async () => {
  const TableName = "javascript-partiql";
  await makeTable(TableName);
  const run = (Statement, Parameters, further = {}) =>
    documents.send(new ExecuteStatementCommand({ Statement, Parameters, ...further }));
  const insert = `INSERT INTO "${TableName}" VALUE {'pk': ?, 'sk': ?, 'map': ?}`;
  for (const sk of [0, 1, 2, 3]) await run(insert, ["a", sk, { in: [sk] }]);
  await assert.rejects(run(insert, ["a", 1, null]), DuplicateItemException);
  const select = `SELECT sk, map FROM "${TableName}" WHERE pk = ? AND sk > ?`;
  const first = await run(select, ["a", 0], { Limit: 2 });
  const rest = await run(select, ["a", 0], { NextToken: first.NextToken });
  assert.deepEqual(
    [...first.Items, ...rest.Items],
    [1, 2, 3].map((sk) => ({ sk, map: { in: [sk] } })),
  );
  const change = `UPDATE "${TableName}" SET v = ? WHERE pk = 'a' AND sk = 1 RETURNING MODIFIED NEW *`;
  assert.deepEqual((await run(change, [new Set(["x"])])).Items, [{ v: new Set(["x"]) }]);
  const remove = { Statement: `DELETE FROM "${TableName}" WHERE pk = 'a' AND sk = ?` };
  const { Responses } = await documents.send(
    new BatchExecuteStatementCommand({ Statements: [2, 3].map((sk) => ({ ...remove, Parameters: [sk] })) }),
  );
  assert.deepEqual(
    Responses.map(({ Error }) => Error),
    [undefined, undefined],
  );
  const TransactStatements = [
    { ...remove, Parameters: [0] },
    { Statement: insert, Parameters: ["a", 4, 1] },
  ];
  await documents.send(new ExecuteTransactionCommand({ TransactStatements }));
  const left = await run(`SELECT sk FROM "${TableName}" WHERE pk = 'a'`);
  assert.deepEqual(left.Items, [{ sk: 1 }, { sk: 4 }]);
});

test("a stream is read from its horizon", async () => {
  const TableName = "javascript-stream";
  const made = await makeTable(TableName, {
    StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
  });
  const Key = { pk: "a", sk: 1 };
  await documents.send(new PutCommand({ TableName, Item: { ...Key, v: Uint8Array.of(0) } }));
  await documents.send(new PutCommand({ TableName, Item: { ...Key, v: Uint8Array.of(255) } }));
  await documents.send(new DeleteCommand({ TableName, Key }));

  const reader = new streams.DynamoDBStreamsClient({});
  const listed = await reader.send(new streams.ListStreamsCommand({ TableName }));
  const StreamArn = made.LatestStreamArn;
  assert.deepEqual(
    listed.Streams.map((stream) => stream.StreamArn),
    [StreamArn],
  );
  const { StreamDescription } = await reader.send(new streams.DescribeStreamCommand({ StreamArn }));
  const records = [];
  for (const { ShardId } of StreamDescription.Shards) {
    const start = { StreamArn, ShardId, ShardIteratorType: "TRIM_HORIZON" };
    const { ShardIterator } = await reader.send(new streams.GetShardIteratorCommand(start));
    records.push(...(await reader.send(new streams.GetRecordsCommand({ ShardIterator }))).Records);
  }
  assert.deepEqual(
    records.map(({ eventName, dynamodb }) => [eventName, dynamodb.OldImage?.v.B, dynamodb.NewImage?.v.B]),
    [
      ["INSERT", undefined, Uint8Array.of(0)],
      ["MODIFY", Uint8Array.of(0), Uint8Array.of(255)],
      ["REMOVE", Uint8Array.of(255), undefined],
    ],
  );
  assert.ok(records[0].dynamodb.ApproximateCreationDateTime instanceof Date);
  await assert.rejects(
    reader.send(new streams.DescribeStreamCommand({ StreamArn: StreamArn.replace(TableName, "no-such-table") })),
    streams.ResourceNotFoundException,
  );
});
