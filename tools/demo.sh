#!/usr/bin/env bash
# Installs what is missing, builds eddl-node and its CPU backend, and trains LeNet-5 on Fashion-MNIST on this machine.
#
# Usage: tools/demo.sh [--no-install] [OPTIONS of eddl-node train ...]
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
exec build/release/bin/eddl-node train examples/fashion_lenet5.toml "$@"
