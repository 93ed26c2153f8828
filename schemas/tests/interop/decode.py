"""Decodes records as any Python consumer of our topics would.

usage: decode.py REGISTRY_URL; standard input has lines "TOPIC HEX", standard output one JSON value a
line. Times become whole microseconds since 1970.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def plain(value):
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(microseconds=1)
    raise TypeError(f"{value!r} is not JSON")


def main():
    registry = SchemaRegistryClient({"url": sys.argv[1]})
    decode = AvroDeserializer(registry)
    for line in sys.stdin:
        topic, record = line.split()
        latest = registry.get_latest_version(f"{topic}-value")
        assert registry.get_compatibility(f"{topic}-value") == "FULL_TRANSITIVE"
        assert registry.lookup_schema(f"{topic}-value", latest.schema).schema_id == latest.schema_id
        assert int.from_bytes(bytes.fromhex(record)[1:5], "big") == latest.schema_id
        value = decode(bytes.fromhex(record), SerializationContext(topic, MessageField.VALUE))
        print(json.dumps(value, default=plain))


main()
