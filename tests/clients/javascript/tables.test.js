// Tables with the JavaScript SDK v3: their life with waiters, tags, TTL, indexes on a live table, the errors' classes.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CreateTableCommand,
  DeleteTableCommand,
  DescribeEndpointsCommand,
  DescribeLimitsCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  ListTagsOfResourceCommand,
  ResourceInUseException,
  ResourceNotFoundException,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateTableCommand,
  UpdateTimeToLiveCommand,
  paginateListTables,
  waitUntilTableNotExists,
} from "@aws-sdk/client-dynamodb";
import { BatchWriteCommand, PutCommand, QueryCommand } from "@aws-sdk/lib-dynamodb";
import { all, attributes, client, documents, keySchema, makeTable, patience, waitFor } from "./support.js";

test("a table lives and goes", async () => {
  const TableName = "javascript-life";
  const made = await makeTable(TableName, { Tags: [{ Key: "team", Value: "crimes" }] });
  assert.equal(made.TableStatus, "ACTIVE");
  assert.equal(made.BillingModeSummary.BillingMode, "PAY_PER_REQUEST");
  assert.ok(made.CreationDateTime instanceof Date);
  const again = {
    TableName,
    KeySchema: keySchema("pk"),
    AttributeDefinitions: attributes({ pk: "S" }),
    BillingMode: "PAY_PER_REQUEST",
  };
  await assert.rejects(client.send(new CreateTableCommand(again)), ResourceInUseException);
  const pages = await all(paginateListTables({ client, pageSize: 1 }, {}));
  assert.ok(pages.flatMap((page) => page.TableNames).includes(TableName));

  const ResourceArn = made.TableArn;
  await client.send(new TagResourceCommand({ ResourceArn, Tags: [{ Key: "stage", Value: "dev" }] }));
  await client.send(new UntagResourceCommand({ ResourceArn, TagKeys: ["team"] }));
  const { Tags } = await client.send(new ListTagsOfResourceCommand({ ResourceArn }));
  assert.deepEqual(Tags, [{ Key: "stage", Value: "dev" }]);

  const TimeToLiveSpecification = { Enabled: true, AttributeName: "expires" };
  await client.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification }));
  const { TimeToLiveDescription } = await client.send(new DescribeTimeToLiveCommand({ TableName }));
  assert.deepEqual(TimeToLiveDescription, { TimeToLiveStatus: "ENABLED", AttributeName: "expires" });

  await client.send(new DeleteTableCommand({ TableName }));
  assert.equal((await waitUntilTableNotExists(patience, { TableName })).state, "SUCCESS");
  await assert.rejects(client.send(new DescribeTableCommand({ TableName })), (error) => {
    assert.ok(error instanceof ResourceNotFoundException);
    assert.equal(error.message, `Requested resource not found: Table: ${TableName} not found`);
    assert.equal(error.$metadata.httpStatusCode, 400);
    assert.ok(error.$metadata.requestId);
    return true;
  });
});

test("an index is added to a live table, queried, and removed", async () => {
  const TableName = "javascript-index";
  await makeTable(TableName);
  const Item = (number) => ({ pk: `p${number}`, sk: number, kind: `k${number % 5}`, note: "n" });
  const puts = Array.from({ length: 25 }, (_, number) => ({ PutRequest: { Item: Item(number) } }));
  const { UnprocessedItems } = await documents.send(new BatchWriteCommand({ RequestItems: { [TableName]: puts } }));
  assert.deepEqual(UnprocessedItems, {});
  const IndexName = "by-kind";
  const Projection = { ProjectionType: "INCLUDE", NonKeyAttributes: ["note"] };
  await client.send(
    new UpdateTableCommand({
      TableName,
      AttributeDefinitions: attributes({ pk: "S", sk: "N", kind: "S" }),
      GlobalSecondaryIndexUpdates: [{ Create: { IndexName, KeySchema: keySchema("kind", "sk"), Projection } }],
    }),
  );
  const ready = (table) => table.GlobalSecondaryIndexes?.[0].IndexStatus === "ACTIVE";
  const { GlobalSecondaryIndexes } = await waitFor(TableName, ready);
  assert.deepEqual(GlobalSecondaryIndexes[0].Projection, Projection);
  await documents.send(new PutCommand({ TableName, Item: { ...Item(101), other: "stays behind" } }));
  const { Items } = await documents.send(
    new QueryCommand({
      TableName,
      IndexName,
      KeyConditionExpression: "kind = :kind AND sk > :from",
      ExpressionAttributeValues: { ":kind": "k1", ":from": 11 },
    }),
  );
  assert.deepEqual(Items, [16, 21, 101].map(Item));
  await client.send(new UpdateTableCommand({ TableName, GlobalSecondaryIndexUpdates: [{ Delete: { IndexName } }] }));
  await waitFor(TableName, (table) => table.GlobalSecondaryIndexes === undefined);
});

test("limits and endpoints", async () => {
  assert.ok((await client.send(new DescribeLimitsCommand({}))).AccountMaxReadCapacityUnits > 0);
  assert.equal((await client.send(new DescribeEndpointsCommand({}))).Endpoints.length, 1);
});
