// SPDX-License-Identifier: MIT
/* Choosing a backend, and what is said when there is no accelerator: with
 * made-up trees in the place of /sys, /dev and /boot. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "drm_backend.h"
#include "lowlayer.h"

struct tree {
	char root[64], sys[80], dev[80], boot[80], path[256];
	struct damf_error err;
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int tree_setup(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	strcpy(t->root, "/tmp/damf-lowlayer-XXXXXX");
	assert_non_null(mkdtemp(t->root));
	assert_int_equal(chmod(t->root, 0755), 0);
	snprintf(t->sys, sizeof(t->sys), "%s/sys", t->root);
	snprintf(t->dev, sizeof(t->dev), "%s/dev", t->root);
	snprintf(t->boot, sizeof(t->boot), "%s/boot", t->root);
	*state = t;
	return 0;
}

static int tree_teardown(void **state)
{
	struct tree *t = *state;

	nftw(t->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(t);
	return 0;
}

/* Makes the directories of root/rest, and a file with text at its end if
 * there is text. */
static void make(const char *root, const char *rest, const char *text)
{
	char path[512], *p;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, rest);
	for (p = path + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	if (!text) {
		mkdir(path, 0755);
		return;
	}
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void make_link(const char *root, const char *rest, const char *target)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", root, rest);
	assert_int_equal(symlink(target, path), 0);
}

static void make_pci(struct tree *t)
{
	make(t->sys, "bus/pci/devices/0000:00:01.0/vendor", "0x8086\n");
	make(t->sys, "bus/pci/devices/0000:00:01.0/device", "0x10f2\n");
	make(t->sys, "bus/pci/devices/0000:00:04.0/vendor", "0x1af4\n");
	make(t->sys, "bus/pci/devices/0000:00:04.0/device", "0x10f2\n");
}

static int find(struct tree *t)
{
	return damf_drm_find(t->sys, t->dev, t->boot, t->path, sizeof(t->path), &t->err);
}

static void test_no_device(void **state)
{
	struct tree *t = *state;

	assert_int_equal(find(t), -ENODEV);
	assert_contains(t->err.text, "no DAMF accelerator");
	make(t->sys, "bus/pci/devices/0000:00:01.0/vendor", "0x1af4\n");
	make(t->sys, "bus/pci/devices/0000:00:01.0/device", "0x1000\n");
	assert_int_equal(find(t), -ENODEV);
	assert_contains(t->err.text, "no DAMF accelerator");
}

static void test_module_not_loaded(void **state)
{
	struct tree *t = *state;

	make_pci(t);
	make(t->sys, "class/accel", NULL);
	assert_int_equal(find(t), -ENODEV);
	assert_contains(t->err.text, "0000:00:04.0");
	assert_contains(t->err.text, "load damf.ko");
	make(t->sys, "module/damf", NULL);
	assert_int_equal(find(t), -ENODEV);
	assert_contains(t->err.text, "dmesg");
}

static void test_other_driver(void **state)
{
	struct tree *t = *state;

	make_pci(t);
	make_link(t->sys, "bus/pci/devices/0000:00:04.0/driver", "../../drivers/vfio-pci");
	assert_int_equal(find(t), -ENODEV);
	assert_contains(t->err.text, "vfio-pci");
	assert_contains(t->err.text, "unbind");
}

static void test_no_drm_accel(void **state)
{
	struct tree *t = *state;
	struct utsname uts;
	char file[300];

	make_pci(t);
	make(t->sys, "class/drm", NULL);
	assert_int_equal(find(t), -ENODEV);
	assert_contains(t->err.text, "CONFIG_DRM_ACCEL");
	/* the same from the configuration, where DRM is a module not loaded */
	assert_int_equal(rmdir(strcat(strcpy(file, t->sys), "/class/drm")), 0);
	assert_int_equal(find(t), -ENODEV);
	assert_contains(t->err.text, "load damf.ko");
	assert_int_equal(uname(&uts), 0);
	snprintf(file, sizeof(file), "config-%s", uts.release);
	make(t->boot, file, "CONFIG_DRM=m\n# CONFIG_DRM_ACCEL is not set\n");
	assert_int_equal(find(t), -ENODEV);
	assert_contains(t->err.text, "CONFIG_DRM_ACCEL");
	make(t->boot, file, "CONFIG_DRM=m\nCONFIG_DRM_ACCEL=y\n");
	assert_int_equal(find(t), -ENODEV);
	assert_contains(t->err.text, "load damf.ko");
}

static void test_first_node(void **state)
{
	struct tree *t = *state;
	char want[128];

	make(t->sys, "class/accel/accel0/device", NULL);
	make_link(t->sys, "class/accel/accel0/device/driver", "../../drivers/intel_vpu");
	make_pci(t);
	assert_int_equal(find(t), -ENODEV);
	make(t->sys, "class/accel/accel12/device", NULL);
	make_link(t->sys, "class/accel/accel12/device/driver", "../../drivers/damf");
	make(t->sys, "class/accel/accel3/device", NULL);
	make_link(t->sys, "class/accel/accel3/device/driver", "../../drivers/damf");
	assert_int_equal(find(t), 0);
	snprintf(want, sizeof(want), "%s/accel/accel3", t->dev);
	assert_string_equal(t->path, want);
}

static void test_bad_nodes(void **state)
{
	struct tree *t = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/accel7", t->root);
	assert_int_equal(damf_drm_open_node(path, &t->err), -ENODEV);
	assert_contains(t->err.text, path);
	make(t->root, "accel7", "");
	assert_int_equal(damf_drm_open_node(path, &t->err), -ENODEV);
	assert_contains(t->err.text, "not a device node");
	assert_int_equal(damf_drm_open_node("/dev/null", &t->err), -ENODEV);
	assert_contains(t->err.text, "/dev/null is not a DAMF accelerator");
}

static void test_no_permission(void **state)
{
	struct tree *t = *state;
	char path[128];
	uid_t uid = geteuid();
	int r;

	snprintf(path, sizeof(path), "%s/accel0", t->root);
	if (uid || mknod(path, S_IFCHR | 0600, makedev(1, 3)))
		skip();
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(seteuid(65534), 0);
	r = damf_drm_open_node(path, &t->err);
	assert_int_equal(seteuid(uid), 0);
	assert_int_equal(r, -EACCES);
	assert_contains(t->err.text, path);
	assert_contains(t->err.text, "mode 0600");
	assert_contains(t->err.text, "group");
}

static void test_names(void **state)
{
	static const char *const bad[] = { "", "gpu", "cp", "cpux", "cpu:1", "sim:", "device:" };
	struct damf_device *dev;
	struct damf_error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(damf_device_open(bad[i], NULL, &dev, &err), -EINVAL);
		assert_null(dev);
		assert_contains(err.text, "auto, device, device:/dev/accel/accelN, sim or cpu");
	}
	assert_int_equal(damf_device_open("cpu:x", NULL, &dev, NULL), -EINVAL);
	assert_true(damf_device_open("device:/dev/accel/none", NULL, &dev, &err) < 0);
	assert_contains(err.text, "/dev/accel/none");
	damf_device_close(NULL);
	damf_queue_free(NULL);
}

static void test_options(void **state)
{
	struct damf_device_options opt = { .size = sizeof(opt), .threads = 100000 };
	struct {
		struct damf_device_options o;
		uint64_t more;
	} later = { .o.size = sizeof(later), .more = 1 };
	struct damf_device *dev;
	struct damf_error err;

	(void)state;
	assert_int_equal(damf_device_open("cpu", &opt, &dev, &err), -EINVAL);
	assert_contains(err.text, "100000 threads");
	opt = (struct damf_device_options){ .size = sizeof(opt), .local_size = 4096 };
	assert_int_equal(damf_device_open("sim", &opt, &dev, &err), -EINVAL);
	assert_contains(err.text, "2 MiB");
	opt = (struct damf_device_options){ .size = 0 };
	assert_int_equal(damf_device_open("cpu", &opt, &dev, &err), -EINVAL);
	assert_int_equal(damf_device_open("cpu", &later.o, &dev, &err), -E2BIG);
	later.more = 0;
	assert_int_equal(damf_device_open("cpu", &later.o, &dev, &err), 0);
	damf_device_close(dev);
}

/* Without an accelerator "auto" is the CPU, and says why. */
static void test_auto(void **state)
{
	struct damf_device_info info = { .size = sizeof(info) };
	struct damf_device *dev;
	struct damf_error err;

	(void)state;
	if (!damf_device_open("device", NULL, &dev, &err)) {
		damf_device_close(dev);
		skip();
	}
	errno = 12345;
	assert_int_equal(damf_device_open("auto", NULL, &dev, &err), 0);
	assert_int_equal(errno, 12345);
	assert_int_equal(damf_device_get_info(dev, &info, &err), 0);
	assert_string_equal(info.backend, "cpu");
	assert_contains(info.reason, "accelerator");
	damf_device_close(dev);
}

int low_device_tests(void)
{
#define T(fn) { .name = #fn, .test_func = fn, .setup_func = tree_setup, \
		.teardown_func = tree_teardown }
	const struct CMUnitTest tests[] = {
		T(test_no_device), T(test_module_not_loaded), T(test_other_driver),
		T(test_no_drm_accel), T(test_first_node), T(test_bad_nodes),
		T(test_no_permission), cmocka_unit_test(test_names),
		cmocka_unit_test(test_options), cmocka_unit_test(test_auto),
	};
#undef T

	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
