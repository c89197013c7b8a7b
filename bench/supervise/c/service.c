/* service [INDEX]: writes when it started into its slot of the file that BENCH_SLOTS names, and
 * does nothing for ever. Without INDEX it is the name of the working directory, as runit and s6
 * start it. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct slot {
	_Atomic long long pid;
	long long started; /* CLOCK_MONOTONIC, in nanoseconds */
};

int main(int argc, char **argv)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	char cwd[4096], *index = argc > 1 ? argv[1] : NULL;
	if (index == NULL && getcwd(cwd, sizeof cwd) != NULL)
		index = strrchr(cwd, '/') + 1;
	const char *file = getenv("BENCH_SLOTS");
	int fd = file == NULL ? -1 : open(file, O_RDWR | O_CLOEXEC);
	if (fd < 0 || index == NULL)
		return 1;
	off_t at = (off_t)atoi(index) * (off_t)sizeof(struct slot), page = at & ~4095L;
	char *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, page);
	if (mem == MAP_FAILED)
		return 1;
	struct slot *s = (struct slot *)(mem + (at - page));
	s->started = now.tv_sec * 1000000000LL + now.tv_nsec;
	atomic_store(&s->pid, getpid());
	munmap(mem, 4096);
	close(fd);
	for (;;)
		pause();
}
