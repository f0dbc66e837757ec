//! The log and the directory on Apache Kafka.
