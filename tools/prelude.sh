# shellcheck shell=bash
# Sourced by the scripts beside it: goes to the repository's root, and has what demo.sh and test.sh share.
# REQUIRES: set -euo pipefail.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# Prints the comment that opens the calling script.
usage() { sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$root/tools/$(basename "$0")"; }

# Under sudo in somebody's clone, runs the script once more as that person: what is built should be theirs to remove.
hand_back_to_owner() {
  local owner
  owner=$(stat -c %u build 2>/dev/null || stat -c %u .)
  if [ "$(id -u)" -eq 0 ] && [ "${SUDO_UID:-0}" -ne 0 ] && [ "$owner" = "$SUDO_UID" ]; then
    HOME=$(getent passwd "$SUDO_UID" | cut -d: -f6)
    export HOME
    exec setpriv --reuid="$SUDO_UID" --regid="$SUDO_GID" --init-groups "$root/tools/$(basename "$0")" --no-install "$@"
  fi
}

# Makes sure that the build folder can be written, and gives ccache a place where the home folder is none.
prepare_build_folder() {
  if ! mkdir -p build 2>/dev/null || [ ! -w build ]; then
    echo "cannot write to $root/build: it belongs to $(stat -c %U build 2>/dev/null || stat -c %U .)" >&2
    exit 1
  fi
  if [ ! -w "${HOME:-/nonexistent}" ]; then export CCACHE_DIR="${CCACHE_DIR:-$root/build/ccache}"; fi
}
