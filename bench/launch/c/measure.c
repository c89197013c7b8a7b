/* measure: run one command once and print what its launch cost.
 *
 *   measure FIFO COMMAND [ARG...]
 *
 * The daemon that COMMAND starts opens FIFO and writes "PID NANOSECONDS\n", its
 * pid and CLOCK_REALTIME as the first thing in its main; measure kills it then.
 * A FIFO of "-" says that no daemon will come. Printed are, on one line:
 * nanoseconds until the command returned, nanoseconds until the daemon's main
 * (-1 without one), CPU microseconds of all processes together, and the peak
 * resident memory of the largest in KiB.
 *
 * It is in C and small because a process starts its life with the peak memory
 * of the one that forked it (setmax_mm_hiwater_rss in fs/exec.c), and it is a
 * subreaper, so that it hears of the CPU time of every process on the way.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long long now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static long long cpu;
static long peak;

static void add(const struct rusage *u)
{
	cpu += (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000LL
		+ u->ru_utime.tv_usec + u->ru_stime.tv_usec;
	if (u->ru_maxrss > peak)
		peak = u->ru_maxrss;
}

/* started waits up to 10 seconds for the daemon's line and kills the daemon. */
static long long started(int fd)
{
	char line[64];
	long long when;
	int pid;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, 10000) != 1)
		errx(1, "the daemon's main did not run within 10 s");
	ssize_t n = read(fd, line, sizeof line - 1);
	if (n <= 0)
		err(1, "read the daemon's line");
	line[n] = 0;
	if (sscanf(line, "%d %lld", &pid, &when) != 2)
		errx(1, "the daemon wrote \"%s\"", line);
	if (kill(pid, SIGKILL) != 0)
		err(1, "kill %d", pid);
	return when;
}

int main(int argc, char **argv)
{
	int fd = -1, status;
	pid_t pid;
	struct rusage u;
	posix_spawn_file_actions_t fa;

	if (argc < 3)
		errx(2, "usage: measure FIFO COMMAND [ARG...]");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		err(1, "prctl");
	/* Both ends, so that there is no end of file between open and write. */
	if (strcmp(argv[1], "-") != 0 && (fd = open(argv[1], O_RDWR | O_CLOEXEC)) < 0)
		err(1, "%s", argv[1]);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);

	long long before = now();
	if ((errno = posix_spawnp(&pid, argv[2], &fa, NULL, argv + 2, environ)) != 0)
		err(1, "%s", argv[2]);
	while (wait4(pid, &status, 0, &u) != pid)
		if (errno != EINTR)
			err(1, "wait4");
	long long returned = now();
	add(&u);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		errx(1, "%s ended with wait status %#x", argv[2], status);
	long long when = fd < 0 ? before - 1 : started(fd);
	while (wait4(-1, &status, 0, &u) > 0 || errno == EINTR)
		add(&u);
	printf("%lld %lld %lld %ld\n", returned - before, when - before, cpu, peak);
	return 0;
}
