#!/bin/bash
# SPDX-License-Identifier: MIT
# `make shell`: a prompt in the guest, with the accelerator, the tools and the
# model. The directory STAND of the host is /mnt/host there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

shares=(--share "host=${STAND:-$PWD}")
if [ -d "$BUILD_DIR/models/all-MiniLM-L6-v2" ]; then
	shares+=(--share "model=$BUILD_DIR/models/all-MiniLM-L6-v2")
fi
exec "$VM_DIR/vm-run" "${shares[@]}" --shell
