#!/bin/bash
# SPDX-License-Identifier: MIT
# Names the Debian packages that are missing and installs them.
# DEPS=check only names them, and fails if there are any. DEPS_MORE has more.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# the runtime and its tests
PACKAGES=(build-essential pkg-config libdrm-dev liburing-dev libjansson-dev
	liblapack-dev libblas-dev libcmocka-dev)
# the module
PACKAGES+=(kmod xz-utils libelf-dev sparse)
# QEMU
PACKAGES+=(debian-archive-keyring dpkg-dev ninja-build python3 python3-venv flex
	bison libglib2.0-dev zlib1g-dev libattr1-dev rsync)
# the guest, the model and the checks
PACKAGES+=(busybox-static cpio seabios qemu-system-data python3-pip ca-certificates shellcheck)

# shellcheck disable=SC2206 # names of packages
PACKAGES+=(${DEPS_MORE:-})

case $(debian_codename) in
bookworm) ;;
*) PACKAGES+=(meson) ;;
esac

missing()
{
	# shellcheck disable=SC2016 # the $ are dpkg's
	printf '%s\n' "${PACKAGES[@]}" | grep -v -x -F -f <(
		dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${PACKAGES[@]}" 2>/dev/null |
			sed -n 's/^installed //p'
	) || true
}

install_packages()
{
	local root=(env DEBIAN_FRONTEND=noninteractive)

	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null ||
			die "these packages need root and there is no sudo: as root, run apt-get install $*"
		root=(sudo "${root[@]}")
	fi
	say "${DAMF_STEP:-}installing $# packages"
	# A new system has no package lists yet, and old lists name versions
	# that are gone.
	quietly "$BUILD_DIR/log/apt-update.log" "${root[@]}" \
		apt-get -q -o DPkg::Lock::Timeout=300 update
	quietly "$BUILD_DIR/log/apt-install.log" "${root[@]}" \
		apt-get -q -o DPkg::Lock::Timeout=300 -y install --no-install-recommends "$@"
}

mapfile -t lacking < <(missing)
if [ "${#lacking[@]}" = 0 ]; then
	say "${DAMF_STEP:-}packages: all there"
	exit 0
fi
say "${DAMF_STEP:-}packages missing: ${lacking[*]}"
if [ "${DEPS:-}" = check ]; then
	say "install them with: apt-get install ${lacking[*]}"
	exit 1
fi
install_packages "${lacking[@]}"
