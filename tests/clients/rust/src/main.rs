//! The AWS SDK for Rust against a running Blotter: tables, items of every type, expressions, paging, batches,
//! transactions, streams, waiters. The endpoint, region and credentials come from the environment and a profile, as
//! for any program. Prints a line for each part; panics at the first that fails.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::*;

const TABLE: &str = "rust-notes";
const PATIENCE: Duration = Duration::from_secs(60);

type Item = HashMap<String, AttributeValue>;
type Done = Result<(), Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let settings = aws_config::from_env().http_client(http).load().await;
    let client = Client::new(&settings);
    let streams = aws_sdk_dynamodbstreams::Client::new(&settings);
    tables(&client).await?;
    println!("ok tables");
    items(&client).await?;
    println!("ok items");
    expressions(&client).await?;
    println!("ok expressions");
    pages(&client).await?;
    println!("ok pages");
    batches(&client).await?;
    println!("ok batches");
    transactions(&client).await?;
    println!("ok transactions");
    records(&client, &streams).await?;
    println!("ok streams");
    deletion(&client).await?;
    println!("ok deletion");
    Ok(())
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn key(owner: &str, place: i32) -> Item {
    HashMap::from([("owner".into(), text(owner)), ("number".into(), number(place))])
}

fn attribute(name: &str, kind: ScalarAttributeType) -> AttributeDefinition {
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
}

fn element(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
}

async fn tables(client: &Client) -> Done {
    let index = GlobalSecondaryIndex::builder()
        .index_name("by-text")
        .key_schema(element("text", KeyType::Hash))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()?;
    let create = client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("owner", ScalarAttributeType::S))
        .attribute_definitions(attribute("number", ScalarAttributeType::N))
        .attribute_definitions(attribute("text", ScalarAttributeType::S))
        .key_schema(element("owner", KeyType::Hash))
        .key_schema(element("number", KeyType::Range))
        .global_secondary_indexes(index)
        .stream_specification(
            StreamSpecification::builder()
                .stream_enabled(true)
                .stream_view_type(StreamViewType::NewAndOldImages)
                .build()?,
        );
    let created = create.clone().send().await?;
    assert_eq!(created.table_description().unwrap().table_status(), Some(&TableStatus::Creating));
    client.wait_until_table_exists().table_name(TABLE).wait(PATIENCE).await?;
    let described = client.describe_table().table_name(TABLE).send().await?;
    let table = described.table().unwrap();
    assert_eq!(table.billing_mode_summary().unwrap().billing_mode(), Some(&BillingMode::PayPerRequest));
    let mut names = client.list_tables().limit(1).into_paginator().items().send();
    let mut found = false;
    while let Some(name) = names.next().await {
        found |= name? == TABLE;
    }
    assert!(found);
    let again = create.send().await.unwrap_err().into_service_error();
    assert!(again.is_resource_in_use_exception());
    Ok(())
}

async fn items(client: &Client) -> Done {
    let mut item = key("ann", 1);
    item.extend([
        ("text".to_string(), text("é")),
        ("bytes".to_string(), AttributeValue::B(Blob::new([0u8, 255]))),
        ("done".to_string(), AttributeValue::Bool(true)),
        ("nothing".to_string(), AttributeValue::Null(true)),
        ("parts".to_string(), AttributeValue::L(vec![text("a"), text("")])),
        ("prices".to_string(), AttributeValue::M(HashMap::from([("x".into(), number("1.5"))]))),
        ("tags".to_string(), AttributeValue::Ss(vec!["b".into(), "a".into()])),
        ("years".to_string(), AttributeValue::Ns(vec!["10".into(), "9".into()])),
        ("prints".to_string(), AttributeValue::Bs(vec![Blob::new([2u8]), Blob::new([1u8])])),
    ]);
    client.put_item().table_name(TABLE).set_item(Some(item.clone())).send().await?;
    let got = client
        .get_item()
        .table_name(TABLE)
        .set_key(Some(key("ann", 1)))
        .consistent_read(true)
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await?;
    assert_eq!(got.consumed_capacity().unwrap().capacity_units(), Some(1.0));
    // Sets come back sorted.
    item.insert("tags".into(), AttributeValue::Ss(vec!["a".into(), "b".into()]));
    item.insert("years".into(), AttributeValue::Ns(vec!["9".into(), "10".into()]));
    item.insert("prints".into(), AttributeValue::Bs(vec![Blob::new([1u8]), Blob::new([2u8])]));
    assert_eq!(got.item(), Some(&item));
    let missing = client.get_item().table_name(TABLE).set_key(Some(key("bob", 1))).send().await?;
    assert_eq!(missing.item(), None);
    let error = client.get_item().table_name("rust-none").set_key(Some(key("bob", 1))).send().await.unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
    Ok(())
}

async fn expressions(client: &Client) -> Done {
    let updated = client
        .update_item()
        .table_name(TABLE)
        .set_key(Some(key("ann", 1)))
        .update_expression("SET #c = if_not_exists(#c, :forty) + :two REMOVE done ADD tags :tags")
        .condition_expression("attribute_exists(#o) AND size(parts) = :two")
        .expression_attribute_names("#c", "count")
        .expression_attribute_names("#o", "owner")
        .expression_attribute_values(":forty", number(40))
        .expression_attribute_values(":two", number(2))
        .expression_attribute_values(":tags", AttributeValue::Ss(vec!["c".into()]))
        .return_values(ReturnValue::UpdatedNew)
        .send()
        .await?;
    let tags = AttributeValue::Ss(vec!["a".into(), "b".into(), "c".into()]);
    assert_eq!(updated.attributes(), Some(&HashMap::from([("count".into(), number(42)), ("tags".into(), tags)])));
    let failed = client
        .put_item()
        .table_name(TABLE)
        .set_item(Some(key("ann", 1)))
        .condition_expression("attribute_not_exists(#o)")
        .expression_attribute_names("#o", "owner")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    let PutError::ConditionalCheckFailedException(failure) = failed else { panic!("{failed}") };
    assert_eq!(failure.item().unwrap()["count"], number(42));
    Ok(())
}

use aws_sdk_dynamodb::operation::put_item::PutItemError as PutError;

async fn pages(client: &Client) -> Done {
    for place in 10..30 {
        let mut item = key("cid", place);
        item.insert("text".into(), text("shared"));
        client.put_item().table_name(TABLE).set_item(Some(item)).send().await?;
    }
    let mut pages = client
        .query()
        .table_name(TABLE)
        .key_condition_expression("#o = :o AND #n > :n")
        .expression_attribute_names("#o", "owner")
        .expression_attribute_names("#n", "number")
        .expression_attribute_values(":o", text("cid"))
        .expression_attribute_values(":n", number(12))
        .scan_index_forward(false)
        .limit(7)
        .into_paginator()
        .send();
    let (mut count, mut places) = (0, vec![]);
    while let Some(page) = pages.next().await {
        count += 1;
        places.extend(page?.items().iter().map(|item| item["number"].as_n().unwrap().parse::<i32>().unwrap()));
    }
    assert_eq!((count, places), (3, (13..30).rev().collect()));
    let index = client
        .query()
        .table_name(TABLE)
        .index_name("by-text")
        .key_condition_expression("#t = :t")
        .expression_attribute_names("#t", "text")
        .expression_attribute_values(":t", text("shared"))
        .select(Select::Count)
        .send()
        .await?;
    assert_eq!(index.count(), 20);
    let mut scanned = 0;
    for segment in 0..2 {
        let scan = client.scan().table_name(TABLE).segment(segment).total_segments(2).limit(5);
        let mut items = scan.into_paginator().items().send();
        while let Some(item) = items.next().await {
            item?;
            scanned += 1;
        }
    }
    assert_eq!(scanned, 21);
    Ok(())
}

async fn batches(client: &Client) -> Done {
    let pad = text(&"x".repeat(350_000));
    let keys: Vec<Item> = (0..50).map(|place| key("dan", place)).collect(); // 17 MB, more than one response may have
    for key in &keys {
        let mut item = key.clone();
        item.insert("pad".into(), pad.clone());
        let put = PutRequest::builder().set_item(Some(item)).build()?;
        let request = WriteRequest::builder().put_request(put).build();
        let written = client.batch_write_item().request_items(TABLE, vec![request]).send().await?;
        assert!(written.unprocessed_items().unwrap().is_empty());
    }
    let all = KeysAndAttributes::builder().set_keys(Some(keys.clone())).build()?;
    let mut wanted = Some(HashMap::from([(TABLE.to_string(), all)]));
    let (mut asked, mut found) = (0, 0);
    while let Some(requested) = wanted.filter(|left| !left.is_empty()) {
        let got = client.batch_get_item().set_request_items(Some(requested)).send().await?;
        asked += 1;
        found += got.responses().unwrap()[TABLE].len();
        wanted = got.unprocessed_keys().cloned();
    }
    assert_eq!(found, 50);
    assert!(asked > 1);
    let deletions: Vec<WriteRequest> = keys[..25]
        .iter()
        .map(|key| DeleteRequest::builder().set_key(Some(key.clone())).build().unwrap())
        .map(|deletion| WriteRequest::builder().delete_request(deletion).build())
        .collect();
    client.batch_write_item().request_items(TABLE, deletions).send().await?;
    Ok(())
}

async fn write(client: &Client, places: &[i32]) -> Result<(), SdkError<TransactWriteItemsError>> {
    let mut request = client.transact_write_items();
    for place in places {
        let put = Put::builder()
            .table_name(TABLE)
            .set_item(Some(key("eve", *place)))
            .condition_expression("attribute_not_exists(#o)")
            .expression_attribute_names("#o", "owner")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .unwrap();
        request = request.transact_items(TransactWriteItem::builder().put(put).build());
    }
    request.send().await.map(|_| ())
}

async fn transactions(client: &Client) -> Done {
    write(client, &[1, 2]).await?;
    let error = write(client, &[3, 2]).await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("TransactionCanceledException"));
    let TransactWriteItemsError::TransactionCanceledException(canceled) = error else { panic!() };
    let codes: Vec<_> = canceled.cancellation_reasons().iter().map(|reason| reason.code().unwrap()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    assert_eq!(canceled.cancellation_reasons()[1].item(), Some(&key("eve", 2)));
    let get = |place| {
        let get = Get::builder().table_name(TABLE).set_key(Some(key("eve", place))).build().unwrap();
        TransactGetItem::builder().get(get).build()
    };
    let got = client.transact_get_items().transact_items(get(1)).transact_items(get(3)).send().await?;
    assert_eq!(got.responses()[0].item(), Some(&key("eve", 1)));
    assert_eq!(got.responses()[1].item(), None);
    Ok(())
}

async fn records(client: &Client, streams: &aws_sdk_dynamodbstreams::Client) -> Done {
    let described = client.describe_table().table_name(TABLE).send().await?;
    let arn = described.table().unwrap().latest_stream_arn().unwrap();
    let all = streams.describe_stream().stream_arn(arn).send().await?;
    let mut kinds: BTreeMap<String, i32> = BTreeMap::new();
    for shard in all.stream_description().unwrap().shards() {
        let at = streams
            .get_shard_iterator()
            .stream_arn(arn)
            .shard_id(shard.shard_id().unwrap())
            .shard_iterator_type(aws_sdk_dynamodbstreams::types::ShardIteratorType::TrimHorizon)
            .send()
            .await?;
        let mut iterator = at.shard_iterator().map(str::to_string);
        while let Some(position) = iterator {
            let page = streams.get_records().shard_iterator(position).send().await?;
            if page.records().is_empty() {
                break;
            }
            for record in page.records() {
                *kinds.entry(record.event_name().unwrap().to_string()).or_default() += 1;
            }
            iterator = page.next_shard_iterator().map(str::to_string);
        }
    }
    let expected = [("INSERT", 73), ("MODIFY", 1), ("REMOVE", 25)].map(|(kind, count)| (kind.to_string(), count));
    assert_eq!(kinds, BTreeMap::from(expected));
    Ok(())
}

async fn deletion(client: &Client) -> Done {
    client.delete_table().table_name(TABLE).send().await?;
    client.wait_until_table_not_exists().table_name(TABLE).wait(PATIENCE).await?;
    Ok(())
}
