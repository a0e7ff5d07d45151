// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "qtest.h"

struct qtest {
	pid_t pid;
	FILE *in, *out;		/* qtest */
	FILE *qmp;
	char line[8192], answer[8192];
	char events[8192];	/* that came before the answer */
};

enum { QMP_FD = 9 };

static const char *qemu_path(void)
{
	const char *path = getenv("DAMF_QEMU");

	return path ? path : "build/qemu/qemu-system-x86_64";
}

/* Becomes QEMU. */
static void exec_qemu(const char *properties)
{
	char device[512];

	snprintf(device, sizeof(device), "damf,bus=rp0,id=damf0%s%s", properties[0] ? "," : "",
		 properties);
	execlp(qemu_path(), qemu_path(), "-machine", "q35", "-accel", "qtest", "-m", "128M",
	       "-nodefaults", "-display", "none", "-qtest", "stdio", "-qtest-log", "/dev/null",
	       "-L", "/usr/share/seabios", "-L", "/usr/share/qemu",
	       "-chardev", "socket,id=qmp,fd=9", "-mon", "chardev=qmp,mode=control",
	       "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
	       "-device", "pcie-root-port,id=rp0,addr=2,chassis=1", "-device", device,
	       (char *)NULL);
	perror(qemu_path());
	_exit(127);
}

/* A child with pipes at its standard input and output, and a socket for QMP. */
static pid_t spawn(const char *properties, int *in, int *out, int *qmp, int err)
{
	int to[2], from[2], mon[2];
	pid_t pid;

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, mon))
		fail_msg("no pipes: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		fail_msg("cannot fork: %s", strerror(errno));
	if (!pid) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		dup2(mon[1], QMP_FD);
		if (err >= 0)
			dup2(err, 2);
		exec_qemu(properties);
	}
	close(to[0]);
	close(from[1]);
	close(mon[1]);
	*in = to[1];
	*out = from[0];
	*qmp = mon[0];
	return pid;
}

struct qtest *qtest_start(const char *properties)
{
	struct qtest *q = calloc(1, sizeof(*q));
	int in, out, qmp;

	assert_non_null(q);
	signal(SIGPIPE, SIG_IGN);
	q->pid = spawn(properties, &in, &out, &qmp, -1);
	q->in = fdopen(in, "w");
	q->out = fdopen(out, "r");
	q->qmp = fdopen(qmp, "r+");
	assert_true(q->in && q->out && q->qmp);
	if (!fgets(q->line, sizeof(q->line), q->qmp))
		fail_msg("%s did not start", qemu_path());
	qtest_qmp(q, "{\"execute\": \"qmp_capabilities\"}");
	return q;
}

static void reap(pid_t pid, int *status)
{
	for (unsigned int rounds = 0; waitpid(pid, status, WNOHANG) == 0;) {
		if (++rounds == 20000) {
			kill(pid, SIGKILL);
			waitpid(pid, status, 0);
			fail_msg("QEMU did not end within 20 s");
		}
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

void qtest_end(struct qtest *q)
{
	int status;

	qtest_qmp(q, "{\"execute\": \"quit\"}");
	reap(q->pid, &status);
	fclose(q->in);
	fclose(q->out);
	fclose(q->qmp);
	free(q);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("QEMU ended with status 0x%x", status);
}

void qtest_expect_refusal(const char *properties, const char *text)
{
	int in, out, qmp, err[2], status;
	char said[2000] = "";
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	pid = spawn(properties, &in, &out, &qmp, err[1]);
	close(err[1]);
	while (used < sizeof(said) - 1 &&
	       (n = read(err[0], said + used, sizeof(said) - 1 - used)) > 0)
		used += (size_t)n;
	reap(pid, &status);
	close(in);
	close(out);
	close(qmp);
	close(err[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || !strstr(said, text))
		fail_msg("%s: status 0x%x, said \"%s\", not \"%s\"", properties, status, said, text);
}

/* One command of the qtest protocol: the answer without its OK. */
static const char *command(struct qtest *q)
{
	fflush(q->in);
	if (!fgets(q->line, sizeof(q->line), q->out))
		fail_msg("QEMU has gone");
	if (strncmp(q->line, "OK", 2))
		fail_msg("QEMU says: %s", q->line);
	return q->line + 2;
}

static char width(unsigned int size)
{
	switch (size) {
	case 1: return 'b';
	case 2: return 'w';
	case 4: return 'l';
	case 8: return 'q';
	}
	fail_msg("no access of %u bytes", size);
	return 0;
}

uint64_t qtest_read(struct qtest *q, uint64_t addr, unsigned int size)
{
	fprintf(q->in, "read%c 0x%llx\n", width(size), (unsigned long long)addr);
	return strtoull(command(q), NULL, 16);
}

void qtest_write(struct qtest *q, uint64_t addr, unsigned int size, uint64_t value)
{
	fprintf(q->in, "write%c 0x%llx 0x%llx\n", width(size), (unsigned long long)addr,
		(unsigned long long)value);
	command(q);
}

enum { CHUNK = 1024 };	/* an answer fits in a line */

void qtest_memread(struct qtest *q, uint64_t addr, void *buf, size_t size)
{
	unsigned char *to = buf;

	for (size_t at = 0; at < size; at += CHUNK) {
		size_t n = size - at < CHUNK ? size - at : CHUNK;
		const char *hex;

		fprintf(q->in, "read 0x%llx 0x%zx\n", (unsigned long long)(addr + at), n);
		hex = strstr(command(q), "0x");
		assert_non_null(hex);
		for (size_t i = 0; i < n; i++) {
			unsigned int byte = 0;

			sscanf(hex + 2 + 2 * i, "%2x", &byte);
			to[at + i] = (unsigned char)byte;
		}
	}
}

void qtest_memwrite(struct qtest *q, uint64_t addr, const void *buf, size_t size)
{
	const unsigned char *from = buf;

	for (size_t at = 0; at < size; at += CHUNK) {
		size_t n = size - at < CHUNK ? size - at : CHUNK;

		fprintf(q->in, "write 0x%llx 0x%zx 0x", (unsigned long long)(addr + at), n);
		for (size_t i = 0; i < n; i++)
			fprintf(q->in, "%02x", from[at + i]);
		fputc('\n', q->in);
		command(q);
	}
}

static void config_address(struct qtest *q, unsigned int bus, unsigned int devfn,
			   unsigned int offset)
{
	fprintf(q->in, "outl 0xcf8 0x%x\n",
		0x80000000u | bus << 16 | devfn << 8 | (offset & 0xfc));
	command(q);
}

uint32_t qtest_config_read(struct qtest *q, unsigned int bus, unsigned int devfn,
			   unsigned int offset, unsigned int size)
{
	config_address(q, bus, devfn, offset);
	fprintf(q->in, "in%c 0x%x\n", width(size), 0xcfc + (offset & 3));
	return (uint32_t)strtoul(command(q), NULL, 16);
}

void qtest_config_write(struct qtest *q, unsigned int bus, unsigned int devfn,
			unsigned int offset, unsigned int size, uint32_t value)
{
	config_address(q, bus, devfn, offset);
	fprintf(q->in, "out%c 0x%x 0x%x\n", width(size), 0xcfc + (offset & 3), value);
	command(q);
}

/* A line of QMP; false if it is an event, which is kept. */
static bool answered(struct qtest *q, const char *what)
{
	size_t used = strlen(q->events);

	if (!fgets(q->answer, sizeof(q->answer), q->qmp))
		fail_msg("QEMU has gone, without %s", what);
	if (!strstr(q->answer, "\"event\""))
		return true;
	snprintf(q->events + used, sizeof(q->events) - used, "%s", q->answer);
	return false;
}

const char *qtest_qmp(struct qtest *q, const char *text)
{
	q->events[0] = '\0';
	fprintf(q->qmp, "%s\n", text);
	fflush(q->qmp);
	while (!answered(q, "an answer"))
		;
	return q->answer;
}

void qtest_qmp_event(struct qtest *q, const char *name)
{
	while (!strstr(q->events, name))
		answered(q, name);
}

void qtest_wait(unsigned int *rounds, const char *what)
{
	if (++*rounds == 60000)
		fail_msg("waited a minute for %s", what);
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}
