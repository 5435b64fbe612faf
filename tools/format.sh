#!/usr/bin/env bash
# Checks or fixes the layout of the tracked C and C++ files, as .clang-format says.
#
# Usage: tools/format.sh --check | --fix
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"

case "${1:-}" in
  --check) options=(--dry-run --Werror --ferror-limit=1) ;;
  --fix) options=(-i) ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac
# Another version would format differently.
if ! command -v clang-format-14 >/dev/null; then
  echo "clang-format-14 not found; tools/install.sh tests installs it" >&2
  exit 1
fi
# The tracked files; all files where this is no clone. safe.directory: root may check somebody else's clone.
sources() {
  if [ -e .git ]; then
    git -c safe.directory="$root" ls-files -z -- '*.h' '*.cc' '*.c' ':!tests/tidy/fixtures'
  else
    find . \( -path ./build -o -path ./tests/tidy/fixtures \) -prune \
      -o \( -name '*.h' -o -name '*.cc' -o -name '*.c' \) -print0
  fi
}
if ! sources | xargs -0 --no-run-if-empty clang-format-14 "${options[@]}"; then
  echo "not formatted; run: tools/format.sh --fix" >&2
  exit 1
fi
