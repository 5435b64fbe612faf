#!/usr/bin/env bash
# Fuzzes what reads peers' bytes and journals (net/wire) with libFuzzer, address and undefined-behaviour sanitizers.
#
# Usage: tools/fuzz.sh [SECONDS]     60 for each core if not given
#
# Needs clang (Debian: apt-get install clang); exit code 77, with the reason, without it. The corpus is kept in
# build/fuzz/corpus, so that every run goes on from the last one; an input that fails is left in build/fuzz.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"

seconds=${1:-60}
case "$seconds" in
  -h | --help) usage && exit 0 ;;
  "" | *[!0-9]*) usage >&2 && exit 2 ;;
esac
if ! command -v clang++ >/dev/null; then
  echo "SKIP: clang++ not found, which has libFuzzer; apt-get install clang"
  exit 77
fi
prepare_build_folder
cmake -S . -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DEDDL_FUZZ=ON \
  -DEDDL_BUILD_BENCH=OFF >/dev/null
cmake --build build/fuzz --target wire_libfuzzer write_wire_seeds
mkdir -p build/fuzz/corpus build/fuzz/seeds
build/fuzz/bin/write_wire_seeds build/fuzz/seeds

# One process a core; they share what they find.
pids=()
for core in $(seq "$(nproc)"); do
  build/fuzz/bin/wire_libfuzzer -max_total_time="$seconds" -max_len=65536 -reload=1 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix=build/fuzz/ build/fuzz/corpus build/fuzz/seeds >"build/fuzz/log-$core" 2>&1 &
  pids+=($!)
done
code=0
for core in $(seq "$(nproc)"); do
  wait "${pids[$((core - 1))]}" || { code=1 && cat "build/fuzz/log-$core"; }
done
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' build/fuzz/log-* | awk '{ sum += $1 } END { print sum + 0 }')
echo "fuzz: $runs inputs in ${seconds} s on $(nproc) cores, corpus $(find build/fuzz/corpus -type f | wc -l) files$(
  [ $code -eq 0 ] || echo ', FAILED: see above')"
exit $code
