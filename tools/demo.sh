#!/usr/bin/env bash
# Installs what is missing, builds eddl-node, and trains LeNet-5 on Fashion-MNIST with a manager and unequal devices, all
# on this machine: one is killed on the way, another joins. The devices' speeds are emulated: each computes for real, then
# waits as long as such a device would take. Ends with the accuracy, and the speed beside what the devices make alone.
#
# Usage: tools/demo.sh [--no-install] [OPTIONS of eddl-node manage ...]
#   --no-install   use what is installed
#
# Example, one pass over the data only: tools/demo.sh --set train.epochs=1
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/prelude.sh"

case "${1:-}" in -h | --help) usage && exit 0 ;; esac
if [ "${1:-}" = --no-install ]; then
  shift
else
  # The tests are not built here, but configuring looks for their framework.
  tools/install.sh build runtime data tests
  hand_back_to_owner "$@"
fi
prepare_build_folder

cmake --preset release
cmake --build --preset release --target eddl-node eddl_backend_cpu
echo
exec python3 tools/demo.py "$@"
