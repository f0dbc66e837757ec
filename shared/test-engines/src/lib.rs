//! Real Kafka and Cassandra for tests, as processes that end with them.
