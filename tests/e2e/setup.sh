#!/usr/bin/env bash
# Installs what the tests use and this machine lacks. Says what it skips, and why.
#   setup.sh            Debian's packages, and Python's in .venv-e2e
#   setup.sh compiler   only a C compiler's linker, which Rust needs
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${HORMESIS_VENV:-$here/../../.venv-e2e}

say() { printf 'setup: %s\n' "$*"; }
has() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }

# Waits for other package managers instead of failing beside them.
patiently() {
  local tries=0
  until "$@" >"$apt_log" 2>&1; do
    if ! grep -qiE 'could not get lock|unable to (acquire|lock)' "$apt_log" || [ $((tries += 1)) -gt 60 ]; then
      cat "$apt_log" >&2
      return 1
    fi
    [ "$tries" = 1 ] && say "another package manager is at work: waiting (5 minutes at most)"
    sleep 5
  done
}

debian() {
  local missing=("$@") root=()
  if ! has apt-get; then
    say "skipped ${missing[*]}: no apt-get here; tests that need them are skipped"
    return 0
  fi
  if [ "$(id -u)" != 0 ]; then
    if has sudo && sudo -n true 2>/dev/null; then
      root=(sudo -n)
    else
      say "skipped ${missing[*]}: neither root nor sudo without a password; tests that need them are skipped"
      say "  install them with: sudo apt-get install ${missing[*]}"
      return 0
    fi
  fi
  apt_log=$(mktemp)
  say "installing ${missing[*]} (apt)"
  # Debian starts the servers it installs. Ours are started by the tests, on ports of their own:
  # while we install, and unless this machine has a policy already, none is started.
  local policy=/usr/sbin/policy-rc.d ours=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
    "${root[@]}" chmod +x "$policy"
    ours=1
  fi
  local ok=0
  patiently "${root[@]}" apt-get update -qq \
    && patiently "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" \
    || ok=1
  [ -z "$ours" ] || "${root[@]}" rm -f "$policy"
  rm -f "$apt_log"
  [ "$ok" = 0 ] || say "apt could not install ${missing[*]}; tests that need them are skipped"
}

packages=()
want() { has "$1" || packages+=("$2"); }
want cc gcc
[ -e /usr/include/stdlib.h ] || packages+=(libc6-dev)
if [ "${1:-all}" != compiler ]; then
  want redis-server redis-server
  want redis-benchmark redis-tools
  want nginx nginx-light
  want wrk wrk
  want h2load nghttp2-client
  want openssl openssl
  want curl curl
  want ip iproute2
  want prometheus prometheus
  want tmux tmux
  want pkg-config pkg-config
  [ -e /usr/include/openssl/ssl.h ] || packages+=(libssl-dev) # noxious-client's
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
fi
[ ${#packages[@]} = 0 ] || debian "${packages[@]}"
[ "${1:-all}" != compiler ] || exit 0

# The stamp holds what the venv was made from: another list or another Python makes it anew.
wanted=$(cat "$here/requirements.txt" <(python3 --version) | sha256sum | cut -d' ' -f1)
if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
say "installing Python packages into $(basename "$venv") (pip, about a minute)"
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$here/requirements.txt"
echo "$wanted" >"$venv/stamp"
