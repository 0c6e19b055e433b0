// What the JavaScript client tests share: the clients, tables that are ready, and waiting for indexes.
//
// The endpoint, region and credentials come from the environment and a profile, as for any program; nothing here
// names the server. Each test file makes tables of its own names, so that the files can share a server.

import assert from "node:assert/strict";
import { CreateTableCommand, DescribeTableCommand, DynamoDBClient, waitUntilTableExists } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import { setTimeout as sleep } from "node:timers/promises";

export const client = new DynamoDBClient({});
export const documents = DynamoDBDocumentClient.from(client);
export const patience = { client, maxWaitTime: 30, minDelay: 0.1, maxDelay: 1 };

export const attributes = (types) =>
  Object.entries(types).map(([AttributeName, AttributeType]) => ({ AttributeName, AttributeType }));

export const keySchema = (...names) =>
  names.map((AttributeName, place) => ({ AttributeName, KeyType: place === 0 ? "HASH" : "RANGE" }));

/** Creates a table with keys `pk` (S) and `sk` (N), waits until it exists, and returns its description. */
export async function makeTable(TableName, options = {}) {
  await client.send(
    new CreateTableCommand({
      TableName,
      KeySchema: keySchema("pk", "sk"),
      AttributeDefinitions: attributes({ pk: "S", sk: "N" }),
      BillingMode: "PAY_PER_REQUEST",
      ...options,
    }),
  );
  const { state, reason } = await waitUntilTableExists(patience, { TableName });
  assert.equal(state, "SUCCESS");
  return reason.Table;
}

/** Waits until the table's description fits: the SDK has no waiter for indexes. */
export async function waitFor(TableName, fits) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const { Table } = await client.send(new DescribeTableCommand({ TableName }));
    if (fits(Table)) return Table;
    assert.ok(Date.now() < deadline, `stayed like this: ${JSON.stringify(Table)}`);
    await sleep(50);
  }
}

/** All pages of a paginator. */
export async function all(pages) {
  const found = [];
  for await (const page of pages) found.push(page);
  return found;
}
