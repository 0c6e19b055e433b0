// Libraries that keep several kinds of items in one table, as programs use them: ElectroDB and dynamodb-onetable.

import assert from "node:assert/strict";
import test from "node:test";
import { Entity, Service } from "electrodb";
import { Dynamo } from "dynamodb-onetable/Dynamo";
import { Table } from "dynamodb-onetable";
import { attributes, client, documents, keySchema, makeTable } from "./support.js";

const indexed = (name, hash, range) => ({
  KeySchema: keySchema("pk", "sk"),
  AttributeDefinitions: attributes({ pk: "S", sk: "S", [hash]: "S", [range]: "S" }),
  GlobalSecondaryIndexes: [
    { IndexName: name, KeySchema: keySchema(hash, range), Projection: { ProjectionType: "ALL" } },
  ],
});

test("ElectroDB: entities, collections, conditions, batches, transactions, pages", async () => {
  const table = "javascript-electro";
  await makeTable(table, indexed("gsi1", "gsi1pk", "gsi1sk"));
  const model = (entity) => ({ entity, version: "1", service: "cases" });
  const Incident = new Entity(
    {
      model: model("incident"),
      attributes: {
        district: { type: "string", required: true },
        number: { type: "number", required: true },
        kind: { type: ["theft", "arson"], required: true },
        tags: { type: "set", items: "string" },
        places: { type: "list", items: { type: "map", properties: { street: { type: "string" } } } },
        seen: { type: "number", default: 0 },
      },
      indexes: {
        main: { pk: { field: "pk", composite: ["district"] }, sk: { field: "sk", composite: ["number"] } },
        byKind: {
          index: "gsi1",
          collection: "work",
          pk: { field: "gsi1pk", composite: ["kind"] },
          sk: { field: "gsi1sk", composite: ["number"] },
        },
      },
    },
    { client: documents, table },
  );
  const Officer = new Entity(
    {
      model: model("officer"),
      attributes: { name: { type: "string", required: true }, kind: { type: "string", required: true } },
      indexes: {
        main: { pk: { field: "pk", composite: ["name"] }, sk: { field: "sk", composite: [] } },
        byKind: {
          index: "gsi1",
          collection: "work",
          pk: { field: "gsi1pk", composite: ["kind"] },
          sk: { field: "gsi1sk", composite: ["name"] },
        },
      },
    },
    { client: documents, table },
  );
  const cases = new Service({ incident: Incident, officer: Officer });

  await Incident.create({ district: "7", number: 1, kind: "theft", tags: ["b", "a"], places: [{ street: "Elm" }] }).go();
  await assert.rejects(Incident.create({ district: "7", number: 1, kind: "theft" }).go(), /conditional request failed/);
  const { data: first } = await Incident.get({ district: "7", number: 1 }).go({ consistent: true });
  assert.deepEqual(first, {
    district: "7", number: 1, kind: "theft", tags: ["a", "b"], places: [{ street: "Elm" }], seen: 0,
  });
  const { data: changed } = await Incident.patch({ district: "7", number: 1 })
    .add({ seen: 2, tags: ["c"] })
    .append({ places: [{ street: "Oak" }] })
    .where(({ seen }, { lt }) => lt(seen, 1))
    .go({ response: "all_new" });
  assert.deepEqual([changed.seen, changed.tags, changed.places.length], [2, ["a", "b", "c"], 2]);
  await assert.rejects(
    Incident.patch({ district: "7", number: 1 }).set({ seen: 9 }).where(({ seen }, { lt }) => lt(seen, 1)).go(),
    /conditional request failed/,
  );

  const many = Array.from({ length: 30 }, (_, place) => ({ district: "8", number: place + 10, kind: "arson" }));
  const { unprocessed } = await Incident.put(many).go();
  assert.deepEqual(unprocessed, []);
  const read = await Incident.get(many.map(({ district, number }) => ({ district, number }))).go();
  assert.equal(read.data.length, 30);
  const numbers = [];
  let cursor = null;
  let pages = 0;
  do {
    const page = await Incident.query.main({ district: "8" }).between({ number: 12 }, { number: 33 }).go({ cursor, limit: 10 });
    numbers.push(...page.data.map(({ number }) => number));
    ({ cursor } = page);
    pages++;
  } while (cursor !== null);
  assert.equal(numbers.length, 22);
  assert.ok(pages >= 3);

  await Officer.create({ name: "ann", kind: "theft" }).go();
  const { data: work } = await cases.collections.work({ kind: "theft" }).go();
  assert.deepEqual([work.incident.length, work.officer.length], [1, 1]);

  const { canceled } = await cases.transaction
    .write(({ incident, officer }) => [
      incident.create({ district: "9", number: 1, kind: "theft" }).commit({ response: "all_old" }),
      officer.create({ name: "ann", kind: "theft" }).commit({ response: "all_old" }),
    ])
    .go();
  assert.equal(canceled, true);
  assert.equal((await Incident.get({ district: "9", number: 1 }).go()).data, null);
  const { canceled: again } = await cases.transaction
    .write(({ incident, officer }) => [
      incident.create({ district: "9", number: 1, kind: "theft" }).commit(),
      officer.delete({ name: "ann" }).commit(),
    ])
    .go();
  assert.equal(again, false);
  const { data: scanned } = await Incident.scan.where(({ kind }, { eq }) => eq(kind, "theft")).go({ pages: "all" });
  assert.equal(scanned.length, 2);
  assert.equal((await Incident.remove({ district: "9", number: 1 }).go()).data.district, "9");
});

test("dynamodb-onetable: models, unique attributes, batches, transactions, pages", async () => {
  const name = "javascript-onetable";
  const table = new Table({
    name,
    client: new Dynamo({ client }),
    partial: false,
    schema: {
      format: "onetable:1.1.0",
      version: "0.0.1",
      indexes: {
        primary: { hash: "pk", sort: "sk" },
        gs1: { hash: "gs1pk", sort: "gs1sk", project: "all" },
      },
      models: {
        Account: {
          pk: { type: String, value: "account#${id}" },
          sk: { type: String, value: "account#" },
          id: { type: String, generate: "ulid" },
          name: { type: String, required: true, unique: true },
          opened: { type: Date },
          limits: { type: Object, schema: { daily: { type: Number } } },
          tags: { type: Set },
        },
        Order: {
          pk: { type: String, value: "account#${account}" },
          sk: { type: String, value: "order#${number}" },
          account: { type: String, required: true },
          number: { type: String, required: true },
          total: { type: Number },
          gs1pk: { type: String, value: "orders" },
          gs1sk: { type: String, value: "order#${number}" },
        },
      },
      params: { isoDates: true, timestamps: true },
    },
  });
  await table.createTable();
  assert.equal(await table.exists(), true);
  const Account = table.getModel("Account");
  const Order = table.getModel("Order");

  const account = await Account.create({
    name: "acme", opened: new Date(0), limits: { daily: 5 }, tags: new Set(["b", "a"]),
  });
  assert.equal(account.id.length, 26);
  await assert.rejects(Account.create({ name: "acme" }), { code: "UniqueError" });
  const back = await Account.get({ id: account.id }, { consistent: true });
  assert.deepEqual([back.opened.getTime(), back.limits.daily, [...back.tags]], [0, 5, ["a", "b"]]);
  const changed = await Account.update({ id: account.id }, { add: { "limits.daily": 2 } });
  assert.equal(changed.limits.daily, 7);
  const missed = await Account.update(
    { id: account.id, limits: { daily: 1 } },
    { where: "${limits.daily} < {3}", throw: false, log: false },
  );
  assert.equal(missed, undefined);

  const batch = {};
  for (let number = 10; number < 30; number++) {
    await Order.create({ account: account.id, number: `${number}`, total: number }, { batch, exists: null });
  }
  assert.equal(await table.batchWrite(batch), true);
  let next;
  let found = 0;
  do {
    const page = await Order.find({ account: account.id }, { limit: 7, next });
    found += page.length;
    ({ next } = page);
  } while (next);
  assert.equal(found, 20);
  const large = await Order.find({ gs1pk: "orders" }, { index: "gs1", where: "${total} >= {25}", reverse: true });
  assert.deepEqual(large.map(({ total }) => total), [29, 28, 27, 26, 25]);

  const transaction = {};
  await Order.create({ account: account.id, number: "40" }, { transaction });
  await Order.create({ account: account.id, number: "10" }, { transaction });
  await assert.rejects(table.transact("write", transaction), ({ name, code }) =>
    `${name}${code}`.includes("TransactionCanceled"),
  );
  assert.equal(await Order.get({ account: account.id, number: "40" }), undefined);
  assert.equal((await table.fetch(["Account", "Order"], { pk: `account#${account.id}` })).Order.length, 20);
  await Account.remove({ id: account.id });
  await Account.create({ name: "acme" });
  await table.deleteTable("DeleteTableForever");
});
