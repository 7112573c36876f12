#!/bin/sh
# As Apache's image does it: each variable KAFKA_A_B is Kafka's property a.b.
set -eu
env | sed -n 's/^KAFKA_//p' | while IFS='=' read -r name value; do
  printf '%s=%s\n' "$(printf %s "$name" | tr 'A-Z_' 'a-z.')" "$value"
done > /tmp/server.properties
kafka() { exec /java/bin/java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '/jars/jars/*:/jars/modules/*' "$@"; }
(kafka kafka.tools.StorageTool format --ignore-formatted -t homeostat-compose-test -c /tmp/server.properties)
kafka kafka.Kafka /tmp/server.properties
