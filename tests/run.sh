#!/usr/bin/env bash
# `make test`: installs what is missing, runs every test, and closes with one line of totals.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
started=$SECONDS
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

setup_failed=0 rust=0
if command -v cc >/dev/null && [ -e /usr/include/stdlib.h ]; then
  # Beside the first build: it mostly waits for downloads.
  tests/e2e/setup.sh >"$logs/setup" 2>&1 &
  cargo build --locked || rust=1
  wait $! || setup_failed=1
  cat "$logs/setup"
else
  tests/e2e/setup.sh || setup_failed=1
  cargo build --locked || rust=1
fi
cargo test --locked --no-fail-fast 2>&1 | tee "$logs/rust" || rust=1

e2e=0
if [ "$setup_failed" = 0 ]; then
  tests/e2e/run.sh 2>&1 | tee "$logs/e2e" || e2e=1
else
  # A suite that cannot start is a failure, never a silent pass.
  echo "1 failed: the end-to-end tests could not be set up" | tee "$logs/e2e"
  e2e=1
fi

# Sums "N WORD" over the lines in which a runner tells its result.
count() { { grep -hE "$1" "$2" || true; } | { grep -oE "[0-9]+ $3" || true; } | awk '{ n += $1 } END { print n + 0 }'; }
rust_line='^test result: '
e2e_line='(passed|failed|skipped|errors?)( in |,|:).*|^[0-9]+ (failed|skipped)'
# pytest's closing line is its last with a count.
grep -E "$e2e_line" "$logs/e2e" | tail -n 1 >"$logs/e2e-line" || true

passed=$(($(count "$rust_line" "$logs/rust" passed) + $(count . "$logs/e2e-line" passed)))
failed=$(($(count "$rust_line" "$logs/rust" failed) + $(count . "$logs/e2e-line" failed) + $(count . "$logs/e2e-line" 'errors?')))
skipped=$(($(count "$rust_line" "$logs/rust" ignored) + $(count . "$logs/e2e-line" skipped)))
if [ "$failed" = 0 ] && [ $((rust + e2e)) != 0 ]; then
  failed=1 # a build or a runner that broke before it could count
fi

echo
echo "tests took $((SECONDS - started)) s, building and installing included"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
