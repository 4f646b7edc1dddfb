// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

bool test_failed;
char address[64];
static pid_t server;

void fail(const char *file, int line, const char *what, long got, long want)
{
	printf("  %s:%d: %s: got %ld, want %ld\n", file, line, what, got, want);
	test_failed = true;
}

double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void tick(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static const char *need(const char *name)
{
	const char *v = getenv(name);
	if (!v || !*v) {
		fprintf(stderr, "client_test: %s is not set\n", name);
		exit(2);
	}
	return v;
}

// Whether the server answers srvr with its version.
static bool answers(void)
{
	char buf[17] = "";
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(need("INTEROP_PORT")))};
	inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool ok = connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && write(fd, "srvr", 4) == 4;
	size_t n = 0;
	while (ok && n < 16) {
		ssize_t r = read(fd, buf + n, 16 - n);
		if (r <= 0)
			break;
		n += r;
	}
	close(fd);
	return ok && strcmp(buf, "Zookeeper versio") == 0;
}

void server_start(void)
{
	const char *out = need("INTEROP_OUT"), *port = need("INTEROP_PORT");
	char cfg[1024], cmd[4096];
	snprintf(cfg, sizeof cfg, "%s/zoo.cfg", out);
	snprintf(address, sizeof address, "127.0.0.1:%s", port);
	FILE *f = fopen(cfg, "w");
	if (!f) {
		perror(cfg);
		exit(2);
	}
	fprintf(f,
		"tickTime=500\ndataDir=%s/data\nclientPort=%s\nmaxClientCnxns=0\n"
		"admin.enableServer=false\n4lw.commands.whitelist=*\nextendedTypesEnabled=true\n",
		out, port);
	fclose(f);
	snprintf(cmd, sizeof cmd, "exec %s '%s' >>'%s/server.log' 2>&1", need("SUT"), cfg, out);
	server = fork();
	if (server == 0) {
		setenv("SERVER_JVMFLAGS",
		       "-Dznode.container.checkIntervalMs=300 "
		       "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=",
		       1);
		execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
		_exit(127);
	}
	for (double end = now() + 60; !answers(); tick()) {
		if (now() > end || waitpid(server, NULL, WNOHANG) == server) {
			fprintf(stderr, "client_test: the server does not answer\n");
			exit(1);
		}
	}
}

void server_kill(void)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

zhandle_t *client_with(int timeout_ms, const clientid_t *id)
{
	zhandle_t *zh = zookeeper_init(address, NULL, timeout_ms, id, NULL, 0);
	for (double end = now() + 20; zh && zoo_state(zh) != ZOO_CONNECTED_STATE; tick()) {
		if (now() > end) {
			fprintf(stderr, "client_test: not connected\n");
			exit(1);
		}
	}
	return zh;
}

zhandle_t *client(void)
{
	return client_with(6000, NULL);
}

void count_event(zhandle_t *zh, int type, int state, const char *path, void *ctx)
{
	(void)zh, (void)state;
	struct events *e = ctx;
	if (type == ZOO_SESSION_EVENT || e->n == 64)
		return;
	e->type[e->n] = type;
	snprintf(e->path[e->n], sizeof e->path[0], "%s", path);
	__sync_synchronize();
	e->n++;
}
