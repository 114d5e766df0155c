#!/usr/bin/env bash
# Resolves requirements.in anew and writes every version down.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.in"
{
  echo "# Written by \`make e2e-lock\` from requirements.in: exact versions, so that a run today is a run tomorrow."
  "$folder/bin/pip" freeze --disable-pip-version-check
} >"$here/requirements.txt"
