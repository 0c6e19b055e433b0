// Items with the JavaScript SDK v3: every type, conditions, updates, batches, transactions, checksums and gzip.

import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32, gunzipSync } from "node:zlib";
import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  DynamoDBServiceException,
  GetItemCommand,
  IdempotentParameterMismatchException,
  PutItemCommand,
  ResourceNotFoundException,
  TransactWriteItemsCommand,
  TransactionCanceledException,
} from "@aws-sdk/client-dynamodb";
import {
  BatchGetCommand,
  BatchWriteCommand,
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  NumberValue,
  PutCommand,
  TransactGetCommand,
  TransactWriteCommand,
  UpdateCommand,
} from "@aws-sdk/lib-dynamodb";
import { client, documents, makeTable } from "./support.js";

const TableName = "javascript-items";
const DIGITS_38 = "12345678901234567890.123456789012345678";
await makeTable(TableName);

test("every type goes in and comes back", async () => {
  const wrapped = DynamoDBDocumentClient.from(new DynamoDBClient({}), { unmarshallOptions: { wrapNumbers: true } });
  const Item = {
    pk: "types",
    sk: NumberValue.from("1"),
    text: "grüße 🦉",
    empty: "",
    long: NumberValue.from(DIGITS_38),
    bytes: Uint8Array.from({ length: 256 }, (_, byte) => byte),
    yes: true,
    nothing: null,
    list: ["a", [], { deep: [{ deeper: Uint8Array.of(0) }] }],
    map: { a: { b: {} } },
    texts: new Set(["a", "b"]),
    numbers: new Set([NumberValue.from("-1"), NumberValue.from(DIGITS_38)]),
    binaries: new Set([Uint8Array.of(0), Uint8Array.of(255)]),
  };
  await wrapped.send(new PutCommand({ TableName, Item }));
  const Key = { pk: "types", sk: 1 };
  const found = (await wrapped.send(new GetCommand({ TableName, Key, ConsistentRead: true }))).Item;
  const plain = (item) => ({ ...item, numbers: [...item.numbers].map(String).sort(), long: String(item.long) });
  assert.equal(String(found.long), DIGITS_38);
  assert.deepEqual(plain(found), plain(Item));
});

test("numbers as JavaScript writes them", async () => {
  const numbers = [0.1 + 0.2, 1e-7, -0, 5e-324 ** 0.25, Number.MAX_SAFE_INTEGER, 12345678901234567890n];
  await documents.send(new PutCommand({ TableName, Item: { pk: "numbers", sk: 1.5e-10, numbers } }));
  const { Item } = await documents.send(new GetCommand({ TableName, Key: { pk: "numbers", sk: 0.00000000015 } }));
  assert.deepEqual(
    Item.numbers.map((number) => (Object.is(number, -0) ? 0 : number)),
    numbers.map((number) => (Object.is(number, -0) ? 0 : number)),
  );
});

test("updates and conditions", async () => {
  const Key = { pk: "updates", sk: 1 };
  const { Attributes } = await documents.send(
    new UpdateCommand({
      TableName,
      Key,
      UpdateExpression: "SET #l = list_append(if_not_exists(#l, :none), :more), #m = :map ADD visits :one",
      ExpressionAttributeNames: { "#l": "list", "#m": "map" },
      ExpressionAttributeValues: { ":none": [], ":more": ["a"], ":map": { in: "side" }, ":one": 1 },
      ReturnValues: "ALL_NEW",
    }),
  );
  assert.deepEqual(Attributes, { ...Key, list: ["a"], map: { in: "side" }, visits: 1 });
  const refused = documents.send(
    new PutCommand({
      TableName,
      Item: Key,
      ConditionExpression: "attribute_not_exists(pk) OR visits > :most",
      ExpressionAttributeValues: { ":most": 5 },
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    }),
  );
  await assert.rejects(refused, (error) => {
    assert.ok(error instanceof ConditionalCheckFailedException);
    assert.equal(error.message, "The conditional request failed");
    assert.deepEqual(error.Item.visits, { N: "1" });
    return true;
  });
  const gone = await documents.send(new DeleteCommand({ TableName, Key, ReturnValues: "ALL_OLD" }));
  assert.deepEqual(gone.Attributes, Attributes);
  assert.equal((await documents.send(new GetCommand({ TableName, Key }))).Item, undefined);
});

test("errors are the classes that programs catch", async () => {
  const Item = { pk: { S: "a" }, sk: { N: "1" } };
  await assert.rejects(client.send(new PutItemCommand({ TableName: "no-such-table", Item })), ResourceNotFoundException);
  await assert.rejects(client.send(new PutItemCommand({ TableName, Item: { pk: { S: "a" } } })), (error) => {
    assert.ok(error instanceof DynamoDBServiceException);
    assert.equal(error.name, "ValidationException");
    assert.equal(error.message, "One or more parameter values were invalid: Missing the key sk in the item");
    assert.equal(error.$fault, "client");
    return true;
  });
});

test("batches hand back what did not fit, and a program asks again", async () => {
  const fill = "x".repeat(390_000);
  const keys = Array.from({ length: 48 }, (_, sk) => ({ pk: "batch", sk }));
  for (let from = 0; from < keys.length; from += 24) {
    let RequestItems = {
      [TableName]: keys.slice(from, from + 24).map((key) => ({ PutRequest: { Item: { ...key, fill } } })),
    };
    while (Object.keys(RequestItems).length > 0) {
      RequestItems = (await documents.send(new BatchWriteCommand({ RequestItems }))).UnprocessedItems;
    }
  }
  const found = [];
  let answers = 0;
  let RequestItems = { [TableName]: { Keys: keys, ProjectionExpression: "sk, fill" } };
  while (Object.keys(RequestItems).length > 0) {
    const answer = await documents.send(new BatchGetCommand({ RequestItems }));
    found.push(...answer.Responses[TableName].map(({ sk }) => sk));
    RequestItems = answer.UnprocessedKeys;
    answers += 1;
  }
  assert.equal(answers, 2);
  assert.deepEqual(
    found.sort((one, other) => one - other),
    keys.map(({ sk }) => sk),
  );
});

test("transactions: all or nothing, once only", async () => {
  const key = (sk) => ({ TableName, Key: { pk: "transactions", sk } });
  const put = (sk, further = {}) => ({ Put: { TableName, Item: { pk: "transactions", sk, v: 1 }, ...further } });
  await documents.send(new TransactWriteCommand({ TransactItems: [put(1), put(2)] }));
  const add = { UpdateExpression: "ADD v :one", ExpressionAttributeValues: { ":one": 1 } };
  const once = { TransactItems: [{ Update: { ...key(1), ...add } }], ClientRequestToken: "javascript-1" };
  await documents.send(new TransactWriteCommand(once));
  await documents.send(new TransactWriteCommand(once));
  const TransactItems = [1, 9, 2].map((sk) => ({ Get: key(sk) }));
  const { Responses } = await documents.send(new TransactGetCommand({ TransactItems }));
  assert.deepEqual(
    Responses.map(({ Item }) => Item?.v),
    [2, undefined, 1],
  );
  const other = new TransactWriteCommand({ ...once, TransactItems: [put(3)] });
  await assert.rejects(documents.send(other), IdempotentParameterMismatchException);

  const absent = { ConditionExpression: "attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure: "ALL_OLD" };
  const cancelled = documents.send(new TransactWriteCommand({ TransactItems: [put(4), put(2, absent)] }));
  await assert.rejects(cancelled, (error) => {
    assert.ok(error instanceof TransactionCanceledException);
    assert.deepEqual(
      error.CancellationReasons.map(({ Code }) => Code),
      ["None", "ConditionalCheckFailed"],
    );
    assert.equal(error.CancellationReasons[1].Item.v.N ?? error.CancellationReasons[1].Item.v, "1");
    return true;
  });
  assert.equal((await documents.send(new GetCommand(key(4)))).Item, undefined);
  await assert.rejects(client.send(new TransactWriteItemsCommand({ TransactItems: [] })), { name: "ValidationException" });
});

test("checksums fit the bytes as sent; gzip when asked for", async () => {
  await documents.send(new PutCommand({ TableName, Item: { pk: "gzip", sk: 1, fill: "x".repeat(20_000) } }));
  const command = new GetItemCommand({ TableName, Key: { pk: { S: "gzip" }, sk: { N: "1" } } });
  let answer;
  // Asks for gzip, checks the checksum of what came, and unpacks it for the SDK's own parser.
  const unpack = (next) => async (args) => {
    args.request.headers["accept-encoding"] = "gzip";
    const result = await next(args);
    const chunks = [];
    for await (const chunk of result.response.body) chunks.push(chunk);
    answer = { headers: result.response.headers, body: Buffer.concat(chunks) };
    result.response.body = gunzipSync(answer.body);
    return result;
  };
  command.middlewareStack.add(unpack, { step: "deserialize", priority: "low" });
  const { Item } = await client.send(command);
  assert.equal(Item.fill.S.length, 20_000);
  assert.equal(answer.headers["content-encoding"], "gzip");
  assert.ok(answer.body.length < 2_000);
  assert.equal(answer.headers["x-amz-crc32"], String(crc32(answer.body)));
});
