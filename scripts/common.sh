# What the scripts share; sourced, not run.

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
root=$(dirname "$here")
me=$(basename "$0")

say() { echo "$me: $*" >&2; }
fail() { say "$*"; exit 1; }

# Installs Debian packages of which a command is missing: COMMAND=PACKAGE...
need_packages() {
  local pair missing=()
  for pair in "$@"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "please install: ${missing[*]}"
  say "installing ${missing[*]}"
  local as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  # Debian starts what it installs (nginx, Prometheus); here only the programs are wanted.
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

need_toolchains() {
  command -v cargo >/dev/null || fail "Rust is missing: install Rust 1.95 or newer from https://rustup.rs"
  command -v cc >/dev/null || fail "a C compiler is missing: apt-get install gcc libc6-dev"
  [ -n "${1:-}" ] || return 0
  command -v go >/dev/null || [ -x "$("$here/cluster" programs)/kube-apiserver" ] ||
    fail "Go is missing: install Go 1.26 or newer (https://go.dev/doc/install), it builds the control plane once"
}

# Folder of what cargo builds in a profile: `debug` or `release`.
built() { echo "${CARGO_TARGET_DIR:-$root/target}/$(uname -m)-unknown-linux-gnu/$1"; }

# Stops a process that this script started, and waits for its end.
stop_pid() {
  [ -n "${1:-}" ] || return 0
  kill "$1" 2>/dev/null || return 0
  wait "$1" 2>/dev/null || true
}
