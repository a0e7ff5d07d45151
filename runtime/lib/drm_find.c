// SPDX-License-Identifier: MIT
/*
 * Finding the accelerator's node, and saying what is wrong if there is none.
 * libdrm knows no accel nodes, so sysfs is read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <xf86drm.h>

#include "damf_hw.h"
#include "drm_backend.h"

#define DRIVER_NAME "damf"
#define PATH_LEN 512

/* The last part of what the link at path points to; false: no link. */
static bool link_name(const char *path, char *name, size_t len)
{
	char target[PATH_LEN];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *slash;

	if (n < 0)
		return false;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(name, len, "%.63s", slash ? slash + 1 : target);
	return true;
}

/* Number of the lowest accel node that our driver has made, or -1. */
static int first_node(const char *sys)
{
	char path[PATH_LEN], driver[64];
	int best = -1, n, end;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/class/accel", sys);
	dir = opendir(path);
	if (!dir)
		return -1;
	while ((e = readdir(dir))) {
		end = 0;
		if (sscanf(e->d_name, "accel%d%n", &n, &end) != 1 || e->d_name[end] || n < 0)
			continue;
		snprintf(path, sizeof(path), "%s/class/accel/accel%d/device/driver", sys, n);
		if (!link_name(path, driver, sizeof(driver)) || strcmp(driver, DRIVER_NAME))
			continue;
		if (best < 0 || n < best)
			best = n;
	}
	closedir(dir);
	return best;
}

static unsigned int read_hex(const char *sys, const char *device, const char *file)
{
	char path[PATH_LEN];
	unsigned int value = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%.64s/%s", sys, device, file);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%x", &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

/* The PCI address of the first accelerator; false: there is none. */
static bool find_pci(const char *sys, char *name, size_t len)
{
	char path[PATH_LEN];
	bool found = false;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/bus/pci/devices", sys);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (e = readdir(dir))) {
		if (e->d_name[0] == '.' ||
		    read_hex(sys, e->d_name, "vendor") != DAMF_PCI_VENDOR_ID ||
		    read_hex(sys, e->d_name, "device") != DAMF_PCI_DEVICE_ID)
			continue;
		snprintf(name, len, "%.40s", e->d_name);
		found = true;
	}
	closedir(dir);
	return found;
}

static bool exists(const char *root, const char *rest)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "%s/%s", root, rest);
	return !access(path, F_OK);
}

/*
 * Whether the kernel was built without DRM accel: DRM is there without the
 * accel class, or the kernel's configuration says so.
 */
static bool lacks_accel(const char *sys, const char *boot)
{
	char path[PATH_LEN], line[256];
	bool known = false, has = false;
	struct utsname uts;
	FILE *f;

	if (exists(sys, "class/accel"))
		return false;
	if (exists(sys, "class/drm"))
		return true;
	if (uname(&uts))
		return false;
	snprintf(path, sizeof(path), "%s/config-%.64s", boot, uts.release);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		known = true;
		if (!strncmp(line, "CONFIG_DRM_ACCEL=y", 18))
			has = true;
	}
	fclose(f);
	return known && !has;
}

/* There is an accelerator on the bus, but no node of it. */
static int explain_pci(const char *sys, const char *boot, const char *pci,
		       struct damf_error *err)
{
	char path[PATH_LEN], driver[64];
	struct utsname uts;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/driver", sys, pci);
	if (link_name(path, driver, sizeof(driver))) {
		if (!strcmp(driver, DRIVER_NAME))
			return damf_error_set(err, -ENODEV,
					      "accelerator %s (1af4:10f2) has its driver but no accel node: see the kernel log (dmesg)",
					      pci);
		return damf_error_set(err, -ENODEV,
				      "accelerator %s (1af4:10f2) is bound to driver %s: unbind it and load damf.ko",
				      pci, driver);
	}
	if (exists(sys, "module/" DRIVER_NAME))
		return damf_error_set(err, -ENODEV,
				      "accelerator %s (1af4:10f2) was not taken by module damf, which is loaded: see the kernel log (dmesg)",
				      pci);
	if (lacks_accel(sys, boot))
		return damf_error_set(err, -ENODEV,
				      "accelerator %s (1af4:10f2) is there, but kernel %s has no DRM accel: use one with CONFIG_DRM_ACCEL",
				      pci, uname(&uts) ? "" : uts.release);
	return damf_error_set(err, -ENODEV,
			      "accelerator %s (1af4:10f2) has no driver: load damf.ko (modprobe damf, or insmod damf.ko)",
			      pci);
}

int damf_drm_find(const char *sys, const char *devfs, const char *boot, char *path, size_t len,
	     struct damf_error *err)
{
	int node = first_node(sys);
	char pci[64];

	if (node >= 0) {
		snprintf(path, len, "%s/accel/accel%d", devfs, node);
		return 0;
	}
	if (find_pci(sys, pci, sizeof(pci)))
		return explain_pci(sys, boot, pci, err);
	return damf_error_set(err, -ENODEV,
			      "no DAMF accelerator (PCI 1af4:10f2) in this machine: use backend cpu or sim, or start a VM that has one");
}

static int explain_open(const char *path, int error, struct damf_error *err)
{
	struct stat st;

	if ((error == EACCES || error == EPERM) && !stat(path, &st))
		return damf_error_set(err, -error,
				      "no permission to open %s (mode %04o, group id %u): add the user to its group (usually render), or ask for access",
				      path, st.st_mode & 07777u, (unsigned int)st.st_gid);
	if (error == ENOENT)
		return damf_error_set(err, -ENODEV,
				      "there is no node %s: see the nodes in /dev/accel, or let backend \"device\" find it",
				      path);
	if (error == ENODEV || error == ENXIO)
		return damf_error_set(err, -ENODEV,
				      "no device stands behind %s any more: it was removed or its driver unbound",
				      path);
	return damf_error_set(err, -error, "opening %s: %s", path, strerror(error));
}

static int check_driver(int fd, const char *path, struct damf_error *err)
{
	drmVersionPtr v = drmGetVersion(fd);
	bool ours = v && v->name && !strcmp(v->name, DRIVER_NAME);
	int r = 0;

	if (!ours)
		r = damf_error_set(err, -ENODEV,
				   "%s is not a DAMF accelerator but %s%s: name a node of driver damf",
				   path, v ? "a device of driver " : "no DRM device",
				   v && v->name ? v->name : "");
	drmFreeVersion(v);
	return r;
}

int damf_drm_open_node(const char *path, struct damf_error *err)
{
	struct stat st;
	int fd, r;

	if (!stat(path, &st) && !S_ISCHR(st.st_mode))
		return damf_error_set(err, -ENODEV,
				      "%s is not a device node: name one in /dev/accel", path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return explain_open(path, errno, err);
	r = check_driver(fd, path, err);
	if (r) {
		close(fd);
		return r;
	}
	return fd;
}
