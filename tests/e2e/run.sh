#!/usr/bin/env bash
# Runs the end-to-end tests with the venv that setup.sh made. Arguments go to pytest.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${HORMESIS_VENV:-$here/../../.venv-e2e}
python=$(cd "$venv/bin" && pwd)/python
# A proxy that the environment names must not come between loopback and us.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1
export HORMESIS_BIN=${HORMESIS_BIN:-$here/../../target/debug/hormesis}
HORMESIS_BIN=$(realpath "$HORMESIS_BIN")
cd "$here"
exec "$python" -m pytest -p no:cacheprovider --durations=8 "$@"
