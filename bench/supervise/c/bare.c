/* bare N PROGRAM: the least that keeps N programs running. It starts them with posix_spawn, starts
 * again what ends, and ends all at SIGTERM. No readiness, no logs, no order, no answer to any
 * question. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static volatile sig_atomic_t ending;
static void end(int sig) { ending = sig; }

static pid_t start(char *program, int i)
{
	char index[16];
	snprintf(index, sizeof index, "%d", i);
	char *argv[] = {program, index, NULL};
	pid_t pid;
	if (posix_spawn(&pid, program, NULL, NULL, argv, environ) != 0)
		exit(1);
	return pid;
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[1]) : 0;
	pid_t *pids = calloc(n + 1, sizeof *pids);
	struct sigaction sa = {.sa_handler = end};
	sigaction(SIGTERM, &sa, NULL);
	for (int i = 0; i < n && !ending; i++)
		pids[i] = start(argv[2], i);
	while (!ending) {
		pid_t dead = wait(NULL);
		for (int i = 0; dead > 0 && i < n && !ending; i++)
			if (pids[i] == dead)
				pids[i] = start(argv[2], i);
		if (dead < 0 && errno != EINTR)
			return 1;
	}
	for (int i = 0; i < n; i++)
		if (pids[i] > 0)
			kill(pids[i], SIGTERM);
	while (wait(NULL) > 0)
		;
	return 0;
}
