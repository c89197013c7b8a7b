/* target: the daemon that is launched. It says on the FIFO of its argument that
 * its main runs, and to whom it may concern that it is ready, and waits. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void notify(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || len >= sizeof sa.sun_path)
		err(1, "socket %s", path);
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = 0;
	if (sendto(fd, "READY=1", 7, 0, (struct sockaddr *)&sa,
	    offsetof(struct sockaddr_un, sun_path) + len) != 7)
		err(1, "sendto %s", path);
}

int main(int argc, char **argv)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	int fd = argc == 2 ? open(argv[1], O_WRONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		err(1, "the FIFO");
	if (getenv("NOTIFY_SOCKET"))
		notify(getenv("NOTIFY_SOCKET"));
	dprintf(fd, "%d %lld\n", (int)getpid(), ts.tv_sec * 1000000000LL + ts.tv_nsec);
	pause();
	return 0;
}
