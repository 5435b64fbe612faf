#!/usr/bin/env bash
# Installs what is missing of third_party/debian-packages.txt. Asks nothing; needs no network when nothing is missing.
#
# Usage: tools/install.sh [GROUP ...]
#   GROUP   build, runtime, data, tests or bench; without one: all but bench
#
# Needs root, or sudo that works without a question when there is no terminal.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"
list=${EDDL_PACKAGE_LIST:-third_party/debian-packages.txt} # another list: for the test of this script

fail() {
  echo "install: $1" >&2
  exit 1
}

# The packages of one group, one a line.
packages_of() {
  awk -v group="$1" '
    /^# \[/ { in_group = index($0, "# [" group "]") == 1; next }
    in_group { sub(/#.*/, ""); if (NF) print $1 }' "$list"
}

# Those of the arguments that dpkg does not hold as installed. dpkg-query fails on a name that it never heard of.
missing_of() {
  local installed
  installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | sed -n 's/ installed$//p') || true
  printf '%s\n' "$@" | grep -vxF -f <(printf '%s\n' "$installed") || true
}

case "${1:-}" in -h | --help) usage && exit 0 ;; esac
groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(build runtime data tests)
packages=()
for group in "${groups[@]}"; do
  mapfile -t found < <(packages_of "$group")
  if [ ${#found[@]} -eq 0 ]; then
    fail "no group '$group' in $list (found: $(sed -n 's/^# \[\(.*\)\].*/\1/p' "$list" | xargs))"
  fi
  packages+=("${found[@]}")
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  fail "this is no Debian: install what corresponds to these packages, then use --no-install: ${packages[*]}"
fi
mapfile -t missing < <(missing_of "${packages[@]}")
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "neither root nor sudo to install: ${missing[*]}"
  as_root=(sudo)
  [ -t 0 ] || as_root=(sudo -n)
  "${as_root[@]}" true || fail "sudo refused; run as root: apt-get install ${missing[*]}"
fi
# apt-get asks nothing: no debconf dialogue, old configuration files kept, and a wait for whoever holds dpkg's lock.
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null
}
echo "install: ${missing[*]}"
apt update || echo "install: apt-get update failed; trying with the package lists at hand" >&2
apt install --no-install-recommends "${missing[@]}" ||
  fail "apt-get could not install: ${missing[*]} (the project is built on Debian 12)"
