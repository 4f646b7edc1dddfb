// SPDX-License-Identifier: Apache-2.0
// The C client of the distribution (multi-threaded library) against a server process:
// calls that wait, calls with completions, watchers, multi, auth, sessions.
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ACL_vector open_acl; // ZOO_OPEN_ACL_UNSAFE, under a name that fits a line

static int make(zhandle_t *zh, const char *path, const char *data, int mode)
{
	return zoo_create(zh, path, data, data ? (int)strlen(data) : -1, &open_acl, mode, NULL, 0);
}

static void test_data_and_versions(void)
{
	zhandle_t *zh = client();
	struct Stat st, st2;
	char buf[100], path[100];
	int len = sizeof buf;

	EQ(zoo_create2(zh, "/data", "one", 3, &open_acl, ZOO_PERSISTENT, path, sizeof path, &st), ZOK);
	EQ(strcmp(path, "/data"), 0);
	EQ(st.version, 0);
	EQ(st.dataLength, 3);
	EQ(zoo_exists(zh, "/data", 0, &st2), ZOK);
	EQ(st2.czxid, st.czxid);
	EQ(st2.pzxid, st.czxid);
	EQ(st2.ctime, st.ctime);
	EQ(st2.version, 0);
	EQ(st2.ephemeralOwner, 0);
	EQ(zoo_set2(zh, "/data", "three", 5, 0, &st), ZOK);
	EQ(st.version, 1);
	CHECK(st.mzxid > st.czxid);
	EQ(zoo_get(zh, "/data", 0, buf, &len, &st2), ZOK);
	EQ(len, 5);
	EQ(memcmp(buf, "three", 5), 0);
	EQ(zoo_set(zh, "/data", "x", 1, 0), ZBADVERSION);
	EQ(zoo_delete(zh, "/data", 0), ZBADVERSION);
	EQ(make(zh, "/data", "", ZOO_PERSISTENT), ZNODEEXISTS);
	EQ(make(zh, "/data/no/parent", "", ZOO_PERSISTENT), ZNONODE);
	EQ(zoo_set(zh, "/data", NULL, -1, 1), ZOK);
	len = sizeof buf;
	EQ(zoo_get(zh, "/data", 0, buf, &len, NULL), ZOK);
	EQ(len, -1); // null, not empty
	EQ(zoo_delete(zh, "/data", 2), ZOK);
	EQ(zoo_exists(zh, "/data", 0, NULL), ZNONODE);
	zookeeper_close(zh);
}

static void test_children(void)
{
	zhandle_t *zh = client();
	struct String_vector v;
	struct Stat st;
	char path[100];

	EQ(make(zh, "/kids", "", ZOO_PERSISTENT), ZOK);
	for (int i = 0; i < 10; i++) {
		EQ(zoo_create(zh, "/kids/s", "", 0, &open_acl, ZOO_PERSISTENT_SEQUENTIAL, path, sizeof path), ZOK);
		EQ(atoi(path + strlen("/kids/s")), i);
		EQ(strlen(path), strlen("/kids/s") + 10);
	}
	EQ(zoo_get_children2(zh, "/kids", 0, &v, &st), ZOK);
	EQ(v.count, 10);
	EQ(st.numChildren, 10);
	EQ(st.cversion, 10);
	deallocate_String_vector(&v);
	EQ(zoo_delete(zh, "/kids", -1), ZNOTEMPTY);
	EQ(zoo_delete(zh, "/kids/s0000000003", -1), ZOK);
	EQ(zoo_get_children(zh, "/kids", 0, &v), ZOK);
	EQ(v.count, 9);
	deallocate_String_vector(&v);
	EQ(zoo_get_children(zh, "/kids/none", 0, &v), ZNONODE);
	zookeeper_close(zh);
}

static void test_ephemerals(void)
{
	zhandle_t *a = client(), *b = client();
	struct Stat st;

	EQ(make(a, "/eph", "", ZOO_EPHEMERAL), ZOK);
	EQ(make(a, "/eph/below", "", ZOO_PERSISTENT), ZNOCHILDRENFOREPHEMERALS);
	EQ(zoo_exists(b, "/eph", 0, &st), ZOK);
	EQ(st.ephemeralOwner, zoo_client_id(a)->client_id);
	zookeeper_close(a);
	EQ(zoo_exists(b, "/eph", 0, &st), ZNONODE);
	zookeeper_close(b);
}

static void test_containers_and_ttl(void)
{
	zhandle_t *zh = client();
	struct Stat st;
	char path[100];

	EQ(make(zh, "/box", "", ZOO_CONTAINER), ZOK);
	EQ(make(zh, "/box/a", "", ZOO_PERSISTENT), ZOK);
	EQ(zoo_delete(zh, "/box/a", -1), ZOK);
	UNTIL(zoo_exists(zh, "/box", 0, NULL) == ZNONODE);
	EQ(zoo_create_ttl(zh, "/ttl", "x", 1, &open_acl, ZOO_PERSISTENT_WITH_TTL, 500, NULL, 0), ZOK);
	EQ(zoo_create2_ttl(zh, "/ttl", "x", 1, &open_acl, ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL, 600000, path,
			   sizeof path, &st),
	   ZOK);
	EQ(strlen(path), strlen("/ttl") + 10);
	UNTIL(zoo_exists(zh, "/ttl", 0, NULL) == ZNONODE);
	EQ(zoo_exists(zh, path, 0, NULL), ZOK);
	EQ(zoo_delete(zh, path, -1), ZOK);
	zookeeper_close(zh);
}

static void test_multi(void)
{
	zhandle_t *zh = client();
	zoo_op_t ops[5];
	zoo_op_result_t res[5];
	char p0[64], p1[64];
	struct Stat st;

	zoo_create_op_init(&ops[0], "/multi", "", 0, &open_acl, ZOO_PERSISTENT, p0, sizeof p0);
	zoo_create_op_init(&ops[1], "/multi/s", "", 0, &open_acl, ZOO_PERSISTENT_SEQUENTIAL, p1, sizeof p1);
	zoo_set_op_init(&ops[2], "/multi", "new", 3, 0, &st);
	zoo_check_op_init(&ops[3], "/multi", 1);
	zoo_delete_op_init(&ops[4], "/multi/s0000000000", 0);
	EQ(zoo_multi(zh, 5, ops, res), ZOK);
	for (int i = 0; i < 5; i++)
		EQ(res[i].err, ZOK);
	EQ(strcmp(p1, "/multi/s0000000000"), 0);
	EQ(st.version, 1);

	zoo_set_op_init(&ops[0], "/multi", "lost", 4, 1, NULL);
	zoo_delete_op_init(&ops[1], "/multi/none", -1);
	zoo_check_op_init(&ops[2], "/multi", 0);
	EQ(zoo_multi(zh, 3, ops, res), ZNONODE);
	EQ(res[0].err, ZOK);
	EQ(res[1].err, ZNONODE);
	EQ(res[2].err, ZRUNTIMEINCONSISTENCY);
	EQ(zoo_exists(zh, "/multi", 0, &st), ZOK);
	EQ(st.version, 1);
	zookeeper_close(zh);
}

static void test_watchers(void)
{
	zhandle_t *zh = client(), *w = client();
	static struct events data, exist, child, removed;
	struct String_vector v;
	char buf[8];
	int len = sizeof buf;

	EQ(make(w, "/watch", "", ZOO_PERSISTENT), ZOK);
	EQ(zoo_wget(zh, "/watch", count_event, &data, buf, &len, NULL), ZOK);
	EQ(zoo_wexists(zh, "/watch/later", count_event, &exist, NULL), ZNONODE);
	EQ(zoo_wget_children(zh, "/watch", count_event, &child, &v), ZOK);
	deallocate_String_vector(&v);
	EQ(zoo_set(w, "/watch", "1", 1, -1), ZOK);
	EQ(zoo_set(w, "/watch", "2", 1, -1), ZOK);
	EQ(make(w, "/watch/later", "", ZOO_PERSISTENT), ZOK);
	UNTIL(data.n && exist.n && child.n);
	EQ(data.type[0], ZOO_CHANGED_EVENT);
	EQ(exist.type[0], ZOO_CREATED_EVENT);
	EQ(child.type[0], ZOO_CHILD_EVENT);
	EQ(strcmp(exist.path[0], "/watch/later"), 0);
	EQ(zoo_wexists(zh, "/watch/later", count_event, &exist, NULL), ZOK);
	EQ(zoo_delete(w, "/watch/later", -1), ZOK);
	UNTIL(exist.n == 2);
	EQ(exist.type[1], ZOO_DELETED_EVENT);
	EQ(data.n, 1); // one shot
	EQ(zoo_wget(zh, "/watch", count_event, &removed, buf, (len = sizeof buf, &len), NULL), ZOK);
	EQ(zoo_remove_watches(zh, "/watch", ZWATCHTYPE_DATA, count_event, &removed, 0), ZOK);
	EQ(zoo_remove_watches(zh, "/watch", ZWATCHTYPE_DATA, count_event, &removed, 0), ZNOWATCHER);
	EQ(zoo_set(w, "/watch", "3", 1, -1), ZOK);
	EQ(zoo_exists(zh, "/watch", 0, NULL), ZOK); // behind an event, if there were one
	EQ(removed.n, 0);
	zookeeper_close(zh);
	zookeeper_close(w);
}

static void test_acl_and_auth(void)
{
	zhandle_t *ann = client(), *nobody = client(), *root = client();
	struct ACL_vector acl;
	struct Stat st;
	char buf[8];
	int len = sizeof buf;

	EQ(zoo_add_auth(ann, "digest", "ann:a", 5, NULL, NULL), ZOK);
	EQ(zoo_create(ann, "/own", "x", 1, &ZOO_CREATOR_ALL_ACL, ZOO_PERSISTENT, NULL, 0), ZOK);
	EQ(zoo_get_acl(ann, "/own", &acl, &st), ZOK);
	EQ(acl.count, 1);
	EQ(acl.data[0].perms, ZOO_PERM_ALL);
	EQ(strcmp(acl.data[0].id.scheme, "digest"), 0);
	EQ(strncmp(acl.data[0].id.id, "ann:", 4), 0);
	deallocate_ACL_vector(&acl);
	EQ(zoo_get(nobody, "/own", 0, buf, &len, NULL), ZNOAUTH);
	EQ(zoo_set(nobody, "/own", "y", 1, -1), ZNOAUTH);
	EQ(zoo_create(nobody, "/bad", "", 0, &ZOO_CREATOR_ALL_ACL, ZOO_PERSISTENT, NULL, 0), ZINVALIDACL);
	EQ(zoo_set_acl(ann, "/own", 0, &ZOO_READ_ACL_UNSAFE), ZOK);
	len = sizeof buf;
	EQ(zoo_get(nobody, "/own", 0, buf, &len, &st), ZOK);
	EQ(st.aversion, 1);
	EQ(zoo_set(ann, "/own", "y", 1, -1), ZNOAUTH);
	EQ(zoo_add_auth(root, "digest", "super:test", 10, NULL, NULL), ZOK);
	EQ(zoo_set(root, "/own", "y", 1, -1), ZOK);
	EQ(zoo_add_auth(nobody, "nosuch", "x", 1, NULL, NULL), ZOK);
	UNTIL(zoo_state(nobody) == ZOO_AUTH_FAILED_STATE);
	zookeeper_close(ann);
	zookeeper_close(nobody);
	zookeeper_close(root);
}

// What the completions of one batch saw, in order.
static char trace[2048];
static volatile int completions;

static void note(const char *what, int rc, long n)
{
	size_t used = strlen(trace);
	snprintf(trace + used, sizeof trace - used, "%s %d %ld;", what, rc, n);
	__sync_synchronize();
	completions++;
}

static void on_string(int rc, const char *value, const void *ctx)
{
	note(ctx, rc, value ? (long)strlen(value) : -1);
}

static void on_string_stat(int rc, const char *value, const struct Stat *st, const void *ctx)
{
	note(ctx, rc, value ? st->dataLength : -1);
}

static void on_stat(int rc, const struct Stat *st, const void *ctx)
{
	note(ctx, rc, rc == ZOK ? st->version : -1);
}

static void on_data(int rc, const char *value, int len, const struct Stat *st, const void *ctx)
{
	(void)value, (void)st;
	note(ctx, rc, len);
}

static void on_strings(int rc, const struct String_vector *v, const void *ctx)
{
	note(ctx, rc, v ? v->count : -1);
}

static void on_strings_stat(int rc, const struct String_vector *v, const struct Stat *st, const void *ctx)
{
	(void)v;
	note(ctx, rc, st ? st->numChildren : -1);
}

static void on_acl(int rc, struct ACL_vector *acl, struct Stat *st, const void *ctx)
{
	(void)st;
	note(ctx, rc, acl ? acl->count : -1);
}

static void on_void(int rc, const void *ctx)
{
	note(ctx, rc, 0);
}

static void test_async_in_order(void)
{
	zhandle_t *zh = client();
	zoo_op_t ops[2];
	zoo_op_result_t res[2];
	char p[64];

	trace[0] = 0;
	completions = 0;
	zoo_create_op_init(&ops[0], "/async/m", "", 0, &open_acl, ZOO_PERSISTENT, p, sizeof p);
	zoo_delete_op_init(&ops[1], "/async/m", -1);
	EQ(zoo_acreate(zh, "/async", "1", 1, &open_acl, ZOO_PERSISTENT, on_string, "create"), ZOK);
	EQ(zoo_acreate2(zh, "/async/b", "22", 2, &open_acl, ZOO_PERSISTENT, on_string_stat, "create2"), ZOK);
	EQ(zoo_aset(zh, "/async", "333", 3, 0, on_stat, "set"), ZOK);
	EQ(zoo_aset(zh, "/async", "4", 1, 0, on_stat, "set"), ZOK);
	EQ(zoo_aget(zh, "/async", 0, on_data, "get"), ZOK);
	EQ(zoo_aexists(zh, "/async", 0, on_stat, "exists"), ZOK);
	EQ(zoo_aget_children(zh, "/async", 0, on_strings, "kids"), ZOK);
	EQ(zoo_aget_children2(zh, "/async", 0, on_strings_stat, "kids2"), ZOK);
	EQ(zoo_aset_acl(zh, "/async", 0, &open_acl, on_void, "setacl"), ZOK);
	EQ(zoo_aget_acl(zh, "/async", on_acl, "getacl"), ZOK);
	EQ(zoo_async(zh, "/async", on_string, "sync"), ZOK);
	EQ(zoo_amulti(zh, 2, ops, res, on_void, "multi"), ZOK);
	EQ(zoo_adelete(zh, "/async/b", -1, on_void, "delete"), ZOK);
	EQ(zoo_adelete(zh, "/async/b", -1, on_void, "delete"), ZOK);
	UNTIL(completions == 14);
	const char *want = "create 0 6;create2 0 2;set 0 1;set -103 -1;get 0 3;exists 0 1;kids 0 1;kids2 0 1;"
			   "setacl 0 0;getacl 0 1;sync 0 6;multi 0 0;delete 0 0;delete -101 0;";
	if (strcmp(trace, want) != 0)
		printf("  got  %s\n  want %s\n", trace, want);
	EQ(strcmp(trace, want), 0);
	zookeeper_close(zh);
}

static void test_pipelined(void)
{
	zhandle_t *zh = client();
	struct Stat st;
	int n = 3000;

	EQ(make(zh, "/pipe", "", ZOO_PERSISTENT), ZOK);
	completions = 0;
	for (int i = 0; i < n; i++) {
		trace[0] = 0;
		EQ(zoo_aset(zh, "/pipe", "x", 1, i, on_stat, ""), ZOK);
	}
	UNTIL(completions == n);
	EQ(zoo_exists(zh, "/pipe", 0, &st), ZOK);
	EQ(st.version, n); // each found the version that the one before it left
	zookeeper_close(zh);
}

static void test_big_node(void)
{
	zhandle_t *zh = client();
	int n = 1000000, len = n;
	char *in = malloc(n), *out = calloc(1, n);
	for (int i = 0; i < n; i++)
		in[i] = (char)(i * 7 + i / 256);
	EQ(zoo_create(zh, "/big", in, n, &open_acl, ZOO_PERSISTENT, NULL, 0), ZOK);
	EQ(zoo_get(zh, "/big", 0, out, &len, NULL), ZOK);
	EQ(len, n);
	EQ(memcmp(in, out, n), 0);
	free(in);
	free(out);
	zookeeper_close(zh);
}

static void test_session_is_resumed_by_its_id(void)
{
	zhandle_t *a = client();
	clientid_t id = *zoo_client_id(a);
	struct Stat st;

	EQ(make(a, "/resumed", "", ZOO_EPHEMERAL), ZOK);
	zhandle_t *b = client_with(6000, &id);
	EQ(zoo_client_id(b)->client_id, id.client_id);
	EQ(zoo_exists(b, "/resumed", 0, &st), ZOK);
	EQ(st.ephemeralOwner, id.client_id);
	// Closing either of the two ends the session of both.
	zookeeper_close(b);
	zhandle_t *c = client();
	EQ(zoo_exists(c, "/resumed", 0, NULL), ZNONODE);
	zookeeper_close(c);
	UNTIL(zoo_state(a) == ZOO_EXPIRED_SESSION_STATE);
	zookeeper_close(a);

	id.passwd[0] ^= 1;
	zhandle_t *wrong = zookeeper_init(address, NULL, 6000, &id, NULL, 0);
	UNTIL(zoo_state(wrong) == ZOO_EXPIRED_SESSION_STATE);
	zookeeper_close(wrong);
}

static void test_restart_keeps_session_and_watches(void)
{
	zhandle_t *zh = client_with(10000, NULL), *w = client_with(10000, NULL);
	static struct events data, exist, child;
	struct String_vector v;
	struct Stat st;
	char buf[8];
	int len = sizeof buf;
	int64_t id = zoo_client_id(zh)->client_id;

	EQ(make(w, "/again", "", ZOO_PERSISTENT), ZOK);
	EQ(make(zh, "/again/eph", "", ZOO_EPHEMERAL), ZOK);
	EQ(zoo_wget(zh, "/again", count_event, &data, buf, &len, NULL), ZOK);
	EQ(zoo_wexists(zh, "/again/later", count_event, &exist, NULL), ZNONODE);
	EQ(zoo_wget_children(zh, "/again", count_event, &child, &v), ZOK);
	deallocate_String_vector(&v);
	server_kill();
	UNTIL(zoo_state(zh) != ZOO_CONNECTED_STATE && zoo_state(w) != ZOO_CONNECTED_STATE);
	server_start();
	UNTIL(zoo_state(zh) == ZOO_CONNECTED_STATE && zoo_state(w) == ZOO_CONNECTED_STATE);
	EQ(zoo_client_id(zh)->client_id, id);
	EQ(zoo_exists(zh, "/again/eph", 0, &st), ZOK);
	EQ(st.ephemeralOwner, id);
	EQ(data.n + exist.n + child.n, 0);
	EQ(zoo_set(w, "/again", "1", 1, -1), ZOK);
	EQ(make(w, "/again/later", "", ZOO_PERSISTENT), ZOK);
	UNTIL(data.n && exist.n && child.n);
	zookeeper_close(zh);
	EQ(zoo_exists(w, "/again/eph", 0, NULL), ZNONODE);
	zookeeper_close(w);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{"data and versions", test_data_and_versions},
	{"children and sequential names", test_children},
	{"ephemerals", test_ephemerals},
	{"containers and TTL", test_containers_and_ttl},
	{"multi", test_multi},
	{"watchers", test_watchers},
	{"ACL and auth", test_acl_and_auth},
	{"asynchronous calls answer in order", test_async_in_order},
	{"pipelined writes", test_pipelined},
	{"big node", test_big_node},
	{"session is resumed by its id", test_session_is_resumed_by_its_id},
	{"restart keeps session and watches", test_restart_keeps_session_and_watches},
};

int main(void)
{
	int n = sizeof tests / sizeof tests[0], failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	zoo_set_debug_level((ZooLogLevel)0); // the library tells each lost connection
	open_acl = ZOO_OPEN_ACL_UNSAFE;
	server_start();
	for (int i = 0; i < n; i++) {
		test_failed = false;
		tests[i].run();
		printf("%s %s\n", test_failed ? "FAILED" : "ok    ", tests[i].name);
		failed += test_failed;
	}
	server_kill();

	char path[1024];
	snprintf(path, sizeof path, "%s/summary", getenv("INTEROP_OUT"));
	FILE *f = fopen(path, "w");
	if (!f)
		return 1;
	fprintf(f, "%d passed, %d failed, 0 skipped\n", n - failed, failed);
	fclose(f);
	return failed != 0;
}
