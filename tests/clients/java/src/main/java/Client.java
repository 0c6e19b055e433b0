import java.net.URI;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.waiters.WaiterOverrideConfiguration;
import software.amazon.awssdk.enhanced.dynamodb.DynamoDbEnhancedClient;
import software.amazon.awssdk.enhanced.dynamodb.DynamoDbIndex;
import software.amazon.awssdk.enhanced.dynamodb.DynamoDbTable;
import software.amazon.awssdk.enhanced.dynamodb.Expression;
import software.amazon.awssdk.enhanced.dynamodb.Key;
import software.amazon.awssdk.enhanced.dynamodb.TableSchema;
import software.amazon.awssdk.enhanced.dynamodb.extensions.annotations.DynamoDbVersionAttribute;
import software.amazon.awssdk.enhanced.dynamodb.mapper.annotations.DynamoDbBean;
import software.amazon.awssdk.enhanced.dynamodb.mapper.annotations.DynamoDbPartitionKey;
import software.amazon.awssdk.enhanced.dynamodb.mapper.annotations.DynamoDbSecondaryPartitionKey;
import software.amazon.awssdk.enhanced.dynamodb.mapper.annotations.DynamoDbSortKey;
import software.amazon.awssdk.enhanced.dynamodb.model.BatchGetItemEnhancedRequest;
import software.amazon.awssdk.enhanced.dynamodb.model.BatchWriteItemEnhancedRequest;
import software.amazon.awssdk.enhanced.dynamodb.model.EnhancedGlobalSecondaryIndex;
import software.amazon.awssdk.enhanced.dynamodb.model.PutItemEnhancedRequest;
import software.amazon.awssdk.enhanced.dynamodb.model.QueryConditional;
import software.amazon.awssdk.enhanced.dynamodb.model.QueryEnhancedRequest;
import software.amazon.awssdk.enhanced.dynamodb.model.ReadBatch;
import software.amazon.awssdk.enhanced.dynamodb.model.TransactPutItemEnhancedRequest;
import software.amazon.awssdk.enhanced.dynamodb.model.TransactWriteItemsEnhancedRequest;
import software.amazon.awssdk.enhanced.dynamodb.model.WriteBatch;
import software.amazon.awssdk.retries.api.BackoffStrategy;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.BatchGetItemResponse;
import software.amazon.awssdk.services.dynamodb.model.ConditionalCheckFailedException;
import software.amazon.awssdk.services.dynamodb.model.KeysAndAttributes;
import software.amazon.awssdk.services.dynamodb.model.OperationType;
import software.amazon.awssdk.services.dynamodb.model.ProjectionType;
import software.amazon.awssdk.services.dynamodb.model.Record;
import software.amazon.awssdk.services.dynamodb.model.ResourceInUseException;
import software.amazon.awssdk.services.dynamodb.model.ResourceNotFoundException;
import software.amazon.awssdk.services.dynamodb.model.ReturnValue;
import software.amazon.awssdk.services.dynamodb.model.ReturnValuesOnConditionCheckFailure;
import software.amazon.awssdk.services.dynamodb.model.ShardIteratorType;
import software.amazon.awssdk.services.dynamodb.model.StreamViewType;
import software.amazon.awssdk.services.dynamodb.model.TransactionCanceledException;
import software.amazon.awssdk.services.dynamodb.streams.DynamoDbStreamsClient;
import software.amazon.awssdk.services.dynamodb.waiters.DynamoDbWaiter;

/**
 * The AWS SDK for Java 2.x, plain and enhanced, against a running Blotter: tables, items of every type, expressions,
 * paging, batches, transactions, streams, waiters. The endpoint, region and credentials come from the environment and
 * a profile, as for any program. Prints a line for each part; ends with an exception at the first that fails.
 */
public final class Client {
    private static final String TABLE = "java-notes";
    private static final DynamoDbClient CLIENT = DynamoDbClient.create();
    private static final DynamoDbEnhancedClient ENHANCED =
            DynamoDbEnhancedClient.builder().dynamoDbClient(CLIENT).build();
    private static final DynamoDbTable<Note> NOTES = ENHANCED.table(TABLE, TableSchema.fromBean(Note.class));
    /** Without the extension that counts versions, which batches do not have. */
    private static final DynamoDbTable<Note> PLAIN_NOTES = DynamoDbEnhancedClient.builder()
            .dynamoDbClient(CLIENT).extensions().build().table(TABLE, TableSchema.fromBean(Note.class));

    private Client() {}

    public static void main(String[] arguments) {
        part("tables", Client::tables);
        part("items", Client::items);
        part("expressions", Client::expressions);
        part("pages", Client::pages);
        part("batches", Client::batches);
        part("transactions", Client::transactions);
        part("streams", Client::streams);
        part("deletion", Client::deletion);
    }

    /** An item as a program declares it; the enhanced client counts its versions. */
    @DynamoDbBean
    public static class Note {
        private String owner;
        private Integer number;
        private String text;
        private SdkBytes bytes;
        private Boolean done;
        private List<String> parts;
        private Map<String, Double> prices;
        private Set<String> tags;
        private Set<Integer> years;
        private Set<SdkBytes> prints;
        private Long version;

        public Note() {}

        Note(String owner, int number) {
            this.owner = owner;
            this.number = number;
        }

        @DynamoDbPartitionKey
        public String getOwner() { return owner; }
        public void setOwner(String owner) { this.owner = owner; }

        @DynamoDbSortKey
        public Integer getNumber() { return number; }
        public void setNumber(Integer number) { this.number = number; }

        @DynamoDbSecondaryPartitionKey(indexNames = "by-text")
        public String getText() { return text; }
        public void setText(String text) { this.text = text; }

        public SdkBytes getBytes() { return bytes; }
        public void setBytes(SdkBytes bytes) { this.bytes = bytes; }

        public Boolean getDone() { return done; }
        public void setDone(Boolean done) { this.done = done; }

        public List<String> getParts() { return parts; }
        public void setParts(List<String> parts) { this.parts = parts; }

        public Map<String, Double> getPrices() { return prices; }
        public void setPrices(Map<String, Double> prices) { this.prices = prices; }

        public Set<String> getTags() { return tags; }
        public void setTags(Set<String> tags) { this.tags = tags; }

        public Set<Integer> getYears() { return years; }
        public void setYears(Set<Integer> years) { this.years = years; }

        public Set<SdkBytes> getPrints() { return prints; }
        public void setPrints(Set<SdkBytes> prints) { this.prints = prints; }

        @DynamoDbVersionAttribute
        public Long getVersion() { return version; }
        public void setVersion(Long version) { this.version = version; }
    }

    private static void part(String name, Runnable work) {
        work.run();
        System.out.println("ok " + name);
    }

    private static void equal(String what, Object got, Object expected) {
        if (!Objects.equals(got, expected)) {
            throw new AssertionError(what + ": got " + got + ", expected " + expected);
        }
    }

    private static <E extends Exception> E raised(Class<E> kind, Runnable work) {
        try {
            work.run();
        } catch (Exception error) {
            if (kind.isInstance(error)) {
                return kind.cast(error);
            }
            throw new AssertionError("expected " + kind.getSimpleName() + ", got " + error, error);
        }
        throw new AssertionError("expected " + kind.getSimpleName());
    }

    private static Key key(String owner, int number) {
        return Key.builder().partitionValue(owner).sortValue(number).build();
    }

    private static Map<String, AttributeValue> plainKey(String owner, int number) {
        return Map.of("owner", AttributeValue.fromS(owner), "number", AttributeValue.fromN(Integer.toString(number)));
    }

    private static DynamoDbWaiter waiter() {
        WaiterOverrideConfiguration patience = WaiterOverrideConfiguration.builder()
                .backoffStrategyV2(BackoffStrategy.fixedDelay(java.time.Duration.ofMillis(100)))
                .waitTimeout(java.time.Duration.ofMinutes(1))
                .build();
        return DynamoDbWaiter.builder().client(CLIENT).overrideConfiguration(patience).build();
    }

    private static void tables() {
        Runnable create = () -> NOTES.createTable(request -> request
                .globalSecondaryIndices(EnhancedGlobalSecondaryIndex.builder()
                        .indexName("by-text")
                        .projection(p -> p.projectionType(ProjectionType.ALL))
                        .build())
                .streamSpecification(s -> s.streamEnabled(true).streamViewType(StreamViewType.NEW_IMAGE)));
        create.run();
        try (DynamoDbWaiter waiter = waiter()) {
            var found = waiter.waitUntilTableExists(request -> request.tableName(TABLE)).matched().response();
            equal("the table", found.map(r -> r.table().tableStatusAsString()), Optional.of("ACTIVE"));
        }
        equal("billing", NOTES.describeTable().table().billingModeSummary().billingModeAsString(), "PAY_PER_REQUEST");
        raised(ResourceInUseException.class, create);
        equal("the table is listed",
                CLIENT.listTablesPaginator(r -> r.limit(1)).tableNames().stream().anyMatch(TABLE::equals), true);
        raised(ResourceNotFoundException.class, () -> CLIENT.describeTable(r -> r.tableName("java-none")));
    }

    private static void items() {
        Note note = new Note("ann", 1);
        note.setText("é");
        note.setBytes(SdkBytes.fromByteArray(new byte[] {0, -1}));
        note.setDone(true);
        note.setParts(List.of("a", ""));
        note.setPrices(Map.of("x", 1.5));
        note.setTags(Set.of("b", "a"));
        note.setYears(Set.of(10, 9));
        note.setPrints(Set.of(SdkBytes.fromUtf8String("p"), SdkBytes.fromUtf8String("q")));
        NOTES.putItem(note);
        Note back = NOTES.getItem(r -> r.key(key("ann", 1)).consistentRead(true));
        equal("text", back.getText(), "é");
        equal("bytes", back.getBytes(), note.getBytes());
        equal("done", back.getDone(), true);
        equal("parts", back.getParts(), note.getParts());
        equal("prices", back.getPrices(), note.getPrices());
        equal("tags", back.getTags(), note.getTags());
        equal("years", back.getYears(), note.getYears());
        equal("prints", back.getPrints(), note.getPrints());
        equal("its version", back.getVersion(), 1L);
        back.setDone(false);
        equal("its next version", NOTES.updateItem(back).getVersion(), 2L);
        raised(ConditionalCheckFailedException.class, () -> NOTES.updateItem(back));
        equal("a missing item", NOTES.getItem(key("bob", 1)), null);
    }

    private static void expressions() {
        var updated = CLIENT.updateItem(r -> r.tableName(TABLE).key(plainKey("ann", 1))
                .updateExpression("SET #c = if_not_exists(#c, :forty) + :two REMOVE done ADD tags :tags")
                .conditionExpression("attribute_exists(#o) AND size(parts) = :two")
                .expressionAttributeNames(Map.of("#c", "count", "#o", "owner"))
                .expressionAttributeValues(Map.of(
                        ":forty", AttributeValue.fromN("40"), ":two", AttributeValue.fromN("2"),
                        ":tags", AttributeValue.fromSs(List.of("c"))))
                .returnValues(ReturnValue.UPDATED_NEW));
        equal("the new values", updated.attributes(), Map.of(
                "count", AttributeValue.fromN("42"), "tags", AttributeValue.fromSs(List.of("a", "b", "c"))));
        Expression absent = Expression.builder().expression("attribute_not_exists(#o)")
                .putExpressionName("#o", "owner").build();
        raised(ConditionalCheckFailedException.class, () -> NOTES.putItem(
                PutItemEnhancedRequest.builder(Note.class).item(new Note("ann", 1)).conditionExpression(absent).build()));
        var failed = raised(ConditionalCheckFailedException.class, () -> CLIENT.putItem(r -> r.tableName(TABLE)
                .item(plainKey("ann", 1)).conditionExpression("attribute_not_exists(#o)")
                .expressionAttributeNames(Map.of("#o", "owner"))
                .returnValuesOnConditionCheckFailure(ReturnValuesOnConditionCheckFailure.ALL_OLD)));
        equal("the item that failed it", failed.item().get("count"), AttributeValue.fromN("42"));
    }

    private static void pages() {
        for (int number = 10; number < 30; number++) {
            Note note = new Note("cid", number);
            note.setText("shared");
            NOTES.putItem(note);
        }
        var pages = NOTES.query(QueryEnhancedRequest.builder()
                .queryConditional(QueryConditional.sortGreaterThan(key("cid", 12)))
                .limit(7).scanIndexForward(false).build());
        equal("pages", pages.stream().count(), 3L);
        equal("items of all pages", pages.items().stream().map(Note::getNumber).toList(),
                IntStream.iterate(29, n -> n > 12, n -> n - 1).boxed().toList());
        DynamoDbIndex<Note> index = NOTES.index("by-text");
        equal("items of the index", index.query(QueryConditional.keyEqualTo(k -> k.partitionValue("shared")))
                .stream().mapToInt(page -> page.items().size()).sum(), 20);
        int scanned = 0;
        for (int segment = 0; segment < 2; segment++) {
            int mine = segment;
            scanned += NOTES.scan(r -> r.segment(mine).totalSegments(2).limit(5)).items().stream().count();
        }
        equal("items of both segments", scanned, 21);
    }

    private static void batches() {
        String pad = "x".repeat(350_000);
        List<Map<String, AttributeValue>> keys = new ArrayList<>();
        for (int number = 0; number < 50; number++) { // 17 MB, more than one response may have
            Note note = new Note("dan", number);
            note.setText("large");
            note.setParts(List.of(pad));
            var written = ENHANCED.batchWriteItem(BatchWriteItemEnhancedRequest.builder()
                    .writeBatches(WriteBatch.builder(Note.class).mappedTableResource(PLAIN_NOTES).addPutItem(note).build())
                    .build());
            equal("nothing is left", written.unprocessedPutItemsForTable(PLAIN_NOTES), List.of());
            keys.add(plainKey("dan", number));
        }
        Map<String, KeysAndAttributes> wanted = Map.of(TABLE, KeysAndAttributes.builder().keys(keys).build());
        int asked = 0;
        int found = 0;
        while (!wanted.isEmpty()) {
            Map<String, KeysAndAttributes> now = wanted;
            BatchGetItemResponse got = CLIENT.batchGetItem(r -> r.requestItems(now));
            asked++;
            found += got.responses().get(TABLE).size();
            wanted = got.unprocessedKeys();
        }
        equal("items of all responses", found, 50);
        equal("more than one response", asked > 1, true);
        ReadBatch.Builder<Note> batch = ReadBatch.builder(Note.class).mappedTableResource(NOTES);
        IntStream.range(0, 50).forEach(number -> batch.addGetItem(key("dan", number)));
        var read = ENHANCED.batchGetItem(BatchGetItemEnhancedRequest.builder().readBatches(batch.build()).build());
        equal("the enhanced client asks again by itself", read.resultsForTable(NOTES).stream().count(), 50L);
    }

    private static void transactions() {
        Expression absent = Expression.builder().expression("attribute_not_exists(#o)")
                .putExpressionName("#o", "owner").build();
        java.util.function.Consumer<List<Integer>> write = numbers -> {
            TransactWriteItemsEnhancedRequest.Builder request = TransactWriteItemsEnhancedRequest.builder();
            for (int number : numbers) {
                request.addPutItem(NOTES, TransactPutItemEnhancedRequest.builder(Note.class)
                        .item(new Note("eve", number)).conditionExpression(absent)
                        .returnValuesOnConditionCheckFailure(ReturnValuesOnConditionCheckFailure.ALL_OLD).build());
            }
            ENHANCED.transactWriteItems(request.build());
        };
        write.accept(List.of(1, 2));
        var canceled = raised(TransactionCanceledException.class, () -> write.accept(List.of(3, 2)));
        equal("reasons", canceled.cancellationReasons().stream().map(r -> r.code()).toList(),
                List.of("None", "ConditionalCheckFailed"));
        equal("the item of the second", canceled.cancellationReasons().get(1).item().get("number"),
                AttributeValue.fromN("2"));
        var got = ENHANCED.transactGetItems(r -> r.addGetItem(NOTES, key("eve", 1)).addGetItem(NOTES, key("eve", 3)));
        equal("what is there", got.get(0).getItem(NOTES).getNumber(), 1);
        equal("what is not", got.get(1).getItem(NOTES), null);
    }

    private static void streams() {
        String arn = NOTES.describeTable().table().latestStreamArn();
        String endpoint = System.getenv("AWS_ENDPOINT_URL");
        Map<OperationType, Integer> kinds = new HashMap<>();
        Set<String> seen = new HashSet<>();
        try (DynamoDbStreamsClient streams =
                DynamoDbStreamsClient.builder().endpointOverride(URI.create(endpoint)).build()) {
            for (var shard : streams.describeStream(r -> r.streamArn(arn)).streamDescription().shards()) {
                String iterator = streams.getShardIterator(r -> r.streamArn(arn).shardId(shard.shardId())
                        .shardIteratorType(ShardIteratorType.TRIM_HORIZON)).shardIterator();
                while (iterator != null) {
                    String at = iterator;
                    var page = streams.getRecords(r -> r.shardIterator(at));
                    if (page.records().isEmpty()) {
                        break;
                    }
                    for (Record record : page.records()) {
                        kinds.merge(record.eventName(), 1, Integer::sum);
                        equal("a record comes once", seen.add(record.eventID()), true);
                    }
                    iterator = page.nextShardIterator();
                }
            }
        }
        equal("records", kinds, Map.of(OperationType.INSERT, 73, OperationType.MODIFY, 2));
    }

    private static void deletion() {
        NOTES.deleteTable();
        try (DynamoDbWaiter waiter = waiter()) {
            waiter.waitUntilTableNotExists(request -> request.tableName(TABLE));
        }
    }
}
