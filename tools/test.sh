#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests (formatting and tidiness are two of them), then under sanitizers.
#
# Usage: tools/test.sh [--fast] [--fuzz] [--no-install]
#   --fast         only the release build and its tests
#   --fuzz         a minute of libFuzzer in the end, if clang is here (tools/fuzz.sh)
#   --no-install   use what is installed
#
# Ends with one line, "N passed, N failed, N skipped"; the exit code is 0 only if nothing failed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"

arguments=("$@")
fast=false
fuzz=false
install=true
for argument in "$@"; do
  case "$argument" in
    -h | --help) usage && exit 0 ;;
    --fast) fast=true ;;
    --fuzz) fuzz=true ;;
    --no-install) install=false ;;
    *) usage >&2 && exit 2 ;;
  esac
done
if $install; then
  tools/install.sh
  hand_back_to_owner "${arguments[@]}"
fi
prepare_build_folder
failures=()

# Configures, builds and tests one preset; the results land in build/PRESET/results.
check_preset() {
  local results=$root/build/$1/results
  echo "== $1: build"
  cmake --preset "$1" && cmake --build --preset "$1" || return 1
  echo "== $1: tests"
  rm -rf "$results" && mkdir -p "$results"
  GTEST_OUTPUT="xml:$results/" ctest --preset "$1" --parallel "$(nproc)" --output-junit "$results/ctest.xml"
}

presets=(release)
$fast || presets+=(asan)
for preset in "${presets[@]}"; do
  check_preset "$preset" || failures+=("$preset")
done

if $fuzz; then
  echo "== fuzz"
  tools/fuzz.sh 60 || [ $? -eq 77 ] || failures+=("fuzz")
fi

echo "== summary"
if [ ${#failures[@]} -gt 0 ]; then echo "failed: ${failures[*]}"; fi
python3 tools/test_summary.py "${presets[@]/#/build/}" || failures+=("summary")
[ ${#failures[@]} -eq 0 ]
