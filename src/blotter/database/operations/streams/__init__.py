"""What reads the changes of a table: DynamoDB Streams (`streams`, `registry` for what is kept) and Kinesis."""
