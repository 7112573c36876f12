#!/bin/sh
# Take out of /opt/homeostat what no process reads: tests (Evidently's are a part of its interface), types, sources of what
# is compiled, tools for compilers, notebooks' extensions, and Arrow's RPC.
set -eu
cd /opt/homeostat/lib/python3*/site-packages
find . -path ./evidently -prune -o -type d -name tests -prune -exec rm -r {} +
find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' \) -delete
rm -rf numpy/distutils numpy/_core/include numpy/_core/lib numpy/_core/_simd.* numpy/random/lib \
  pyarrow/include pyarrow/*flight* jupyterlab_plotly /opt/homeostat/share/jupyter
