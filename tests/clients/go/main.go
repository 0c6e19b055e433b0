// The AWS SDK for Go v2 against a running Blotter: tables, items of every type, expressions, paging, batches,
// transactions, streams, waiters. The endpoint, region and credentials come from the environment and a profile, as
// for any program. Prints a line for each part; exits with 1 at the first that fails.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	stream "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

const table = "go-notes"

var (
	ctx     = context.Background()
	client  *dynamodb.Client
	streams *dynamodbstreams.Client
)

// Note is an item as a program declares it.
type Note struct {
	Owner   string             `dynamodbav:"owner"`
	Number  int                `dynamodbav:"number"`
	Text    string             `dynamodbav:"text,omitempty"`
	Bytes   []byte             `dynamodbav:"bytes,omitempty"`
	Done    bool               `dynamodbav:"done"`
	Nothing *string            `dynamodbav:"nothing"`
	Parts   []string           `dynamodbav:"parts,omitempty"`
	Prices  map[string]float64 `dynamodbav:"prices,omitempty"`
	Tags    []string           `dynamodbav:"tags,stringset,omitempty"`
	Years   []int              `dynamodbav:"years,numberset,omitempty"`
	Prints  [][]byte           `dynamodbav:"prints,binaryset,omitempty"`
}

func main() {
	settings, err := config.LoadDefaultConfig(ctx)
	must(err)
	client = dynamodb.NewFromConfig(settings)
	streams = dynamodbstreams.NewFromConfig(settings)
	parts := []struct {
		name string
		run  func()
	}{
		{"tables", tables}, {"items", items}, {"expressions", expressions}, {"pages", pages},
		{"batches", batches}, {"transactions", transactions}, {"streams", records}, {"partiql", partiql},
		{"deletion", deletion},
	}
	for _, part := range parts {
		part.run()
		fmt.Println("ok", part.name)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		fmt.Fprintf(os.Stderr, "%s: got %#v, expected %#v\n", what, got, want)
		os.Exit(1)
	}
}

func text(value string) types.AttributeValue   { return &types.AttributeValueMemberS{Value: value} }
func number(value string) types.AttributeValue { return &types.AttributeValueMemberN{Value: value} }

func key(owner string, place int) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"owner": text(owner), "number": number(fmt.Sprint(place))}
}

func tables() {
	created, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:   aws.String(table),
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("owner"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("number"), AttributeType: types.ScalarAttributeTypeN},
			{AttributeName: aws.String("text"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("owner"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("number"), KeyType: types.KeyTypeRange},
		},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String("by-text"),
			KeySchema:  []types.KeySchemaElement{{AttributeName: aws.String("text"), KeyType: types.KeyTypeHash}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
		StreamSpecification: &types.StreamSpecification{
			StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages,
		},
		Tags: []types.Tag{{Key: aws.String("program"), Value: aws.String("go")}},
	})
	must(err)
	equal("status", created.TableDescription.TableStatus, types.TableStatusCreating)
	waiter := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
	})
	described, err := waiter.WaitForOutput(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(table)}, time.Minute)
	must(err)
	equal("billing", described.Table.BillingModeSummary.BillingMode, types.BillingModePayPerRequest)
	tags, err := client.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: described.Table.TableArn})
	must(err)
	equal("tags", len(tags.Tags), 1)
	_, err = client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               aws.String(table),
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("expires"), Enabled: aws.Bool(true)},
	})
	must(err)
	found := false
	lists := dynamodb.NewListTablesPaginator(client, &dynamodb.ListTablesInput{Limit: aws.Int32(1)})
	for lists.HasMorePages() {
		page, err := lists.NextPage(ctx)
		must(err)
		for _, name := range page.TableNames {
			found = found || name == table
		}
	}
	equal("the table is listed", found, true)
	_, err = client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String(table), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("owner"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("owner"), KeyType: types.KeyTypeHash}},
	})
	var inUse *types.ResourceInUseException
	equal("a second table of its name", errors.As(err, &inUse), true)
}

func items() {
	note := Note{
		Owner: "ann", Number: 1, Text: "é", Bytes: []byte{0, 255}, Done: true, Parts: []string{"a", ""},
		Prices: map[string]float64{"x": 1.5}, Tags: []string{"b", "a"}, Years: []int{10, 9},
		Prints: [][]byte{{2}, {1}},
	}
	item, err := attributevalue.MarshalMap(note)
	must(err)
	_, err = client.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(table), Item: item})
	must(err)
	got, err := client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(table), Key: key("ann", 1), ConsistentRead: aws.Bool(true),
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	must(err)
	equal("capacity", *got.ConsumedCapacity.CapacityUnits, 1.0)
	var back Note
	must(attributevalue.UnmarshalMap(got.Item, &back))
	note.Tags, note.Years, note.Prints = []string{"a", "b"}, []int{9, 10}, [][]byte{{1}, {2}} // sets come back sorted
	equal("an item", back, note)
	missing, err := client.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(table), Key: key("bob", 1)})
	must(err)
	equal("a missing item", len(missing.Item), 0)
	_, err = client.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("go-none"), Key: key("bob", 1)})
	var notFound *types.ResourceNotFoundException
	equal("a missing table", errors.As(err, &notFound), true)
}

func expressions() {
	forty := expression.Name("count").IfNotExists(expression.Value(40))
	change := expression.Set(expression.Name("count"), expression.Plus(forty, expression.Value(2))).
		Remove(expression.Name("done")).
		Add(expression.Name("tags"), expression.Value(&types.AttributeValueMemberSS{Value: []string{"c"}}))
	condition := expression.Name("owner").AttributeExists().And(expression.Name("parts").Size().Equal(expression.Value(2)))
	built, err := expression.NewBuilder().WithUpdate(change).WithCondition(condition).Build()
	must(err)
	updated, err := client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(table), Key: key("ann", 1), UpdateExpression: built.Update(),
		ConditionExpression: built.Condition(), ExpressionAttributeNames: built.Names(),
		ExpressionAttributeValues: built.Values(), ReturnValues: types.ReturnValueUpdatedNew,
	})
	must(err)
	equal("the new values", updated.Attributes, map[string]types.AttributeValue{
		"count": number("42"), "tags": &types.AttributeValueMemberSS{Value: []string{"a", "b", "c"}},
	})
	built, err = expression.NewBuilder().WithCondition(expression.Name("owner").AttributeNotExists()).Build()
	must(err)
	_, err = client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: aws.String(table), Item: key("ann", 1), ConditionExpression: built.Condition(),
		ExpressionAttributeNames:            built.Names(),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	equal("a condition that fails", errors.As(err, &failed), true)
	equal("the item that failed it", failed.Item["count"], number("42"))
}

func pages() {
	for place := 10; place < 30; place++ {
		item := key("cid", place)
		item["text"] = text("shared")
		_, err := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(table), Item: item})
		must(err)
	}
	built, err := expression.NewBuilder().WithKeyCondition(
		expression.Key("owner").Equal(expression.Value("cid")).And(expression.Key("number").GreaterThan(expression.Value(12))),
	).WithProjection(expression.NamesList(expression.Name("number"))).Build()
	must(err)
	var places []int
	query := dynamodb.NewQueryPaginator(client, &dynamodb.QueryInput{
		TableName: aws.String(table), KeyConditionExpression: built.KeyCondition(), ProjectionExpression: built.Projection(),
		ExpressionAttributeNames: built.Names(), ExpressionAttributeValues: built.Values(),
		Limit: aws.Int32(7), ScanIndexForward: aws.Bool(false),
	})
	count := 0
	for query.HasMorePages() {
		page, err := query.NextPage(ctx)
		must(err)
		count++
		var notes []Note
		must(attributevalue.UnmarshalListOfMaps(page.Items, &notes))
		for _, note := range notes {
			places = append(places, note.Number)
		}
	}
	equal("items of all pages", [3]int{len(places), places[0], places[16]}, [3]int{17, 29, 13})
	equal("pages", count, 3)
	index, err := client.Query(ctx, &dynamodb.QueryInput{
		TableName: aws.String(table), IndexName: aws.String("by-text"), KeyConditionExpression: aws.String("#t = :t"),
		ExpressionAttributeNames:  map[string]string{"#t": "text"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":t": text("shared")}, Select: types.SelectCount,
	})
	must(err)
	equal("items of the index", index.Count, int32(20))
	scanned := int32(0)
	for segment := int32(0); segment < 2; segment++ {
		scan := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{
			TableName: aws.String(table), Segment: aws.Int32(segment), TotalSegments: aws.Int32(2), Limit: aws.Int32(5),
		})
		for scan.HasMorePages() {
			page, err := scan.NextPage(ctx)
			must(err)
			scanned += page.Count
		}
	}
	equal("items of both segments", scanned, int32(21))
}

func batches() {
	var keys []map[string]types.AttributeValue
	for place := 0; place < 50; place++ { // 17 MB, more than one response may have
		item := key("dan", place)
		item["text"] = text("large")
		item["pad"] = text(strings.Repeat("x", 350_000))
		requests := []types.WriteRequest{{PutRequest: &types.PutRequest{Item: item}}}
		written, err := client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{table: requests},
		})
		must(err)
		equal("nothing is left", len(written.UnprocessedItems), 0)
		keys = append(keys, key("dan", place))
	}
	asked, found := 0, 0
	wanted := map[string]types.KeysAndAttributes{table: {Keys: keys}}
	for len(wanted) > 0 {
		got, err := client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: wanted})
		must(err)
		asked++
		found += len(got.Responses[table])
		wanted = got.UnprocessedKeys
	}
	equal("items of all responses", found, 50)
	equal("more than one response", asked > 1, true)
	deletions := []types.WriteRequest{}
	for _, one := range keys[:25] {
		deletions = append(deletions, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: one}})
	}
	_, err := client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
		RequestItems: map[string][]types.WriteRequest{table: deletions},
	})
	must(err)
}

func transactions() {
	write := func(places ...int) error {
		var actions []types.TransactWriteItem
		for _, place := range places {
			actions = append(actions, types.TransactWriteItem{Put: &types.Put{
				TableName: aws.String(table), Item: key("eve", place),
				ConditionExpression:                 aws.String("attribute_not_exists(#o)"),
				ExpressionAttributeNames:            map[string]string{"#o": "owner"},
				ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
			}})
		}
		_, err := client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: actions})
		return err
	}
	must(write(1, 2))
	err := write(3, 2)
	var canceled *types.TransactionCanceledException
	equal("a transaction that fails", errors.As(err, &canceled), true)
	equal("its first reason", aws.ToString(canceled.CancellationReasons[0].Code), "None")
	equal("its second reason", aws.ToString(canceled.CancellationReasons[1].Code), "ConditionalCheckFailed")
	equal("the item of the second", canceled.CancellationReasons[1].Item, key("eve", 2))
	got, err := client.TransactGetItems(ctx, &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{
		{Get: &types.Get{TableName: aws.String(table), Key: key("eve", 1)}},
		{Get: &types.Get{TableName: aws.String(table), Key: key("eve", 3)}},
	}})
	must(err)
	equal("what is there", got.Responses[0].Item, key("eve", 1))
	equal("what is not", len(got.Responses[1].Item), 0)
}

func records() {
	described, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(table)})
	must(err)
	arn := described.Table.LatestStreamArn
	all, err := streams.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: arn})
	must(err)
	equal("the view", all.StreamDescription.StreamViewType, stream.StreamViewTypeNewAndOldImages)
	kinds := map[stream.OperationType]int{}
	for _, shard := range all.StreamDescription.Shards {
		at, err := streams.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{
			StreamArn: arn, ShardId: shard.ShardId, ShardIteratorType: stream.ShardIteratorTypeTrimHorizon,
		})
		must(err)
		iterator := at.ShardIterator
		for iterator != nil {
			page, err := streams.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: iterator})
			must(err)
			if len(page.Records) == 0 {
				break
			}
			for _, record := range page.Records {
				kinds[record.EventName]++
			}
			iterator = page.NextShardIterator
		}
	}
	equal("records", kinds, map[stream.OperationType]int{
		stream.OperationTypeInsert: 73, stream.OperationTypeModify: 1, stream.OperationTypeRemove: 25,
	})
}

func partiql() {
	selected, err := client.ExecuteStatement(ctx, &dynamodb.ExecuteStatementInput{
		Statement:  aws.String(`SELECT "number" FROM "` + table + `" WHERE "owner" = ? AND "number" < 12`),
		Parameters: []types.AttributeValue{text("cid")},
	})
	must(err)
	equal("rows", len(selected.Items), 2)
}

func deletion() {
	_, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String(table)})
	must(err)
	waiter := dynamodb.NewTableNotExistsWaiter(client, func(o *dynamodb.TableNotExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
	})
	must(waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(table)}, time.Minute))
}
