// SPDX-License-Identifier: Apache-2.0
// A server process, clients that wait, and a count of what passed.
#ifndef HARNESS_H
#define HARNESS_H

#include <stdbool.h>
#include <zookeeper/zookeeper.h>

// The first failure of a test is told with its place, and ends the test.
extern bool test_failed;
void fail(const char *file, int line, const char *what, long got, long want);
#define CHECK(cond)                                                          \
	do {                                                                 \
		if (!(cond)) {                                               \
			fail(__FILE__, __LINE__, #cond, 0, 1);               \
			return;                                              \
		}                                                            \
	} while (0)
#define EQ(got, want)                                                        \
	do {                                                                 \
		long g_ = (long)(got), w_ = (long)(want);                    \
		if (g_ != w_) {                                              \
			fail(__FILE__, __LINE__, #got " == " #want, g_, w_); \
			return;                                              \
		}                                                            \
	} while (0)
// Polls until cond holds, for 20 seconds at most.
#define UNTIL(cond)                                                          \
	do {                                                                 \
		double end_ = now() + 20;                                    \
		while (!(cond)) {                                            \
			if (now() > end_) {                                  \
				fail(__FILE__, __LINE__, "until " #cond, 0, 1); \
				return;                                      \
			}                                                    \
			tick();                                              \
		}                                                            \
	} while (0)

double now(void); // seconds, monotonic
void tick(void);  // a short pause between two polls

// The server: SUT on a zoo.cfg in INTEROP_OUT, at INTEROP_PORT.
void server_start(void); // returns when it answers; exits on failure
void server_kill(void);  // kill -9
extern char address[64];

// Clients. A client that does not connect within 20 seconds ends the program.
zhandle_t *client(void);
zhandle_t *client_with(int timeout_ms, const clientid_t *id);

// A watcher that counts; its context is a struct events.
struct events {
	volatile int n;         // node events so far
	volatile int type[64];  // of each
	char path[64][128];
};
void count_event(zhandle_t *zh, int type, int state, const char *path, void *ctx);

#endif
