#!/bin/sh
# Fill /opt/homeostat: with a file of requirements by their hashes; without one with our own wheel, and with a bill of all
# that is there. What has no wheel is built by the tools' own setuptools: nothing is fetched that has no hash.
set -eu
tools=/opt/tools/bin
if [ "$#" -eq 1 ]; then
  python3 -m venv --without-pip /opt/homeostat
  "$tools/pip" wheel --no-deps --no-build-isolation --require-hashes --wheel-dir /fetched -r "$1"
  "$tools/pip" --python /opt/homeostat/bin/python install --no-index --no-deps --no-warn-script-location /fetched/*.whl
  rm -r /fetched
else
  "$tools/pip" --python /opt/homeostat/bin/python install --no-index --no-deps --no-warn-script-location /wheels/*.whl
  "$tools/cyclonedx-py" environment --output-reproducible --of JSON -o /opt/homeostat/sbom.cdx.json /opt/homeostat
fi
