#!/bin/sh
# Make the keys and passwords that compose.yaml names, those that are missing, readable by the roles' user alone. Needs
# openssl. Run it as root: files of secrets keep their owner in a container, and roles are user 65532.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() { openssl rand -hex 32; }
for name in signing mask postgres grafana; do test -s "secrets/$name" || random > "secrets/$name"; done
test -s secrets/replica.pem || openssl genpkey -algorithm ed25519 -out secrets/replica.pem
test -e secrets/keys.toml || : > secrets/keys.toml # `homeostat key NAME` prints entries for it
if ! test -s secrets/s3.json; then
  id=$(openssl rand -hex 10) secret=$(random)
  printf 'AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n' "$id" "$secret" > secrets/storage.env
  printf '{"identities": [{"name": "homeostat", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": ["Admin"]}]}\n' \
    "$id" "$secret" > secrets/s3.json
fi
printf 'postgres:5432:mlflow:mlflow:%s\n' "$(cat secrets/postgres)" > secrets/pgpass
public=$(openssl pkey -in secrets/replica.pem -pubout -outform DER | tail -c 32 | base64)
printf 'REPLICA_PUBLIC_KEY=%s\n' "$public" > site.env
chown 65532:65532 secrets/signing secrets/mask secrets/keys.toml secrets/replica.pem
chown 472 secrets/grafana # its image's user
chmod 0600 secrets/*
