/* The store's edge against a real redis-server: what two hosts tell each other by it. */
#include "store_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define SKIP_REASON "redis-server is neither installed nor in build/tools"

static char folder[] = "/tmp/test_redis.XXXXXX", path[64], acl_file[64], program[256];
static pid_t server;

/* ---- the server ---- */

static bool find_program(void)
{
	static const char *const places[] = {"/usr/bin", "/usr/local/bin"};
	const char *tools = getenv("GCTOKEN_TOOLS");

	for (size_t i = 0; i < LENGTH(places); i++) {
		snprintf(program, sizeof(program), "%s/redis-server", places[i]);
		if (access(program, X_OK) == 0)
			return true;
	}
	snprintf(
		program, sizeof(program), "%s/bin/redis-server", tools ? tools : "build/tools/usr");
	return access(program, X_OK) == 0;
}

/* Libraries of one that was unpacked lie beside it. */
static pid_t run_server(const char *const arguments[])
{
	const char *all[24] = {program}, *end = strstr(program, "/bin/");
	int length = (int)(end - program);
	char libraries[600];
	pid_t pid = fork();
	size_t n = 1;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* where a test fails */
	while (*arguments)
		all[n++] = *arguments++;
	snprintf(libraries, sizeof(libraries),
		"%.*s/lib/x86_64-linux-gnu:%.*s/lib/aarch64-linux-gnu", length, program, length,
		program);
	if (strncmp(program, "/usr/", 5) != 0)
		setenv("LD_LIBRARY_PATH", libraries, 1);
	dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
	execv(program, (char *const *)(uintptr_t)all);
	_exit(127);
}

static int connect_raw(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* An admin's command; its answer's first bytes. */
static const char *admin(const char *line)
{
	static char answer[4096];
	int fd = connect_raw();
	ssize_t n;

	assert_true(fd >= 0);
	assert_true(dprintf(fd, "AUTH root root\r\n%s\r\n", line) > 0);
	assert_true(read(fd, answer, 5) == 5 && !memcmp(answer, "+OK\r\n", 5));
	n = read(fd, answer, sizeof(answer) - 1);
	assert_true(n > 0);
	answer[n] = '\0';
	close(fd);
	return answer;
}

static void start_server(void)
{
	int64_t end = now_ms() + 20000;
	int fd;

	unlink(path);
	server = run_server((const char *const[]){"--unixsocket", path, "--port", "0", "--save", "",
		"--dir", folder, "--aclfile", acl_file, NULL});
	while ((fd = connect_raw()) < 0) {
		assert_true(now_ms() < end);
		sleep_ms(5);
	}
	close(fd);
}

static void stop_server(void)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

static bool is_there(void)
{
	if (*program)
		return true;
	printf("# SKIP " SKIP_REASON "\n");
	return false;
}

/* ---- hosts ---- */

static struct store_settings host_settings(const char *user)
{
	return (struct store_settings){.path = path,
		.prefix = "gct",
		.host = "aaaa",
		.user = user,
		.password = PASSWORD,
		.timeout = duration_s(2),
		.ping = duration_ms(20),
		.seed = 7};
}

static struct store *begin_as(const char *user, struct store_token **token)
{
	struct store_settings s = host_settings(user);
	struct store *store = store_begin(&s, token);

	if (!run_until(&heard.ups, 1, 15000))
		fail_msg("it does not get up: %s", heard.why);
	return store;
}

static const struct fleet_answer *ended(int started)
{
	unsigned wanted = heard.results + 1;

	assert_int_equal(started, 0);
	if (!run_until(&heard.results, wanted, 10000))
		fail_msg("no result: %s", heard.why);
	if (!heard.answered)
		fail_msg("%s", heard.problem);
	assert_true(heard.sent.ns < heard.received.ns);
	return &heard.answer;
}

static void refused(int started, const char *words)
{
	unsigned wanted = heard.results + 1;

	assert_int_equal(started, 0);
	assert_true(run_until(&heard.results, wanted, 10000));
	assert_false(heard.answered);
	assert_non_null(strstr(heard.problem, words));
}

static struct store_put put_of(uint64_t generation, const char *sealed, int64_t stamp_us)
{
	return (struct store_put){.generation = generation,
		.stamp_us = stamp_us,
		.left_us = INT64_C(3600000000),
		.issued = duration_s(3600),
		.sealed = sealed,
		.sealed_length = strlen(sealed)};
}

/* ---- cases ---- */

static void each_operation_and_its_message(void **state)
{
	struct store_token *token;
	struct store *store;
	struct store_acquire again = acquire;
	struct store_put put;
	struct store_fail fail = {.class = RESPONSE_THROTTLED,
		.least = duration_s(7),
		.most = duration_s(60),
		.tag = "tag"};
	struct store_accept accept = {.proof = "0123456789abcdef0123456789abcdef"};
	struct store_stop stop = {.issued = duration_s(7200), .sealed = "stop", .sealed_length = 4};
	uint64_t fence;

	(void)state;
	if (!is_there())
		skip();
	assert_true(*admin("FLUSHALL") == '+' && *admin("SCRIPT FLUSH") == '+');
	store = begin_as("minter", &token);

	assert_int_equal(ended(store_read(token))->word, FLEET_SAYS_RECORD);
	assert_true(heard.answer.record.generation == 0 && store_hosts(store) == 1);
	assert_int_equal(ended(store_acquire(token, &acquire))->word, FLEET_SAYS_GRANTED);
	fence = heard.answer.fence;
	assert_int_equal(ended(store_renew(token, fence, duration_s(5)))->word, FLEET_SAYS_KEPT);
	put = put_of(fence, "first", heard.answer.stamp_us);
	assert_int_equal(ended(store_put(token, &put))->word, FLEET_SAYS_PUT);
	assert_true(run_until(&heard.messages, 1, 10000));
	assert_true(!heard.message.failure && heard.message.record.generation == fence);

	assert_int_equal(ended(store_read(token))->word, FLEET_SAYS_RECORD);
	assert_true(heard.answer.record.generation == fence && !heard.answer.record.rejected);
	assert_true(heard.answer.record.issued_us == INT64_C(3600000000));
	assert_string_equal(heard.sealed, "first");
	assert_int_equal(ended(store_acquire(token, &acquire))->word, FLEET_SAYS_NEWER);
	assert_string_equal(heard.sealed, "first");

	again.known = again.reject = fence;
	again.check = true;
	assert_int_equal(ended(store_acquire(token, &again))->word, FLEET_SAYS_GRANTED);
	accept.fence = heard.answer.fence;
	accept.generation = fence;
	assert_int_equal(ended(store_accept(token, &accept))->word, FLEET_SAYS_PUT);
	assert_int_equal(ended(store_accept(token, &accept))->word, FLEET_SAYS_LATE);
	assert_int_equal(ended(store_acquire(token, &again))->word, FLEET_SAYS_ACCEPTED);
	assert_true(heard.answer.verdict.fence == accept.fence);
	assert_int_equal(ended(store_read(token))->word, FLEET_SAYS_RECORD);
	assert_true(heard.answer.verdict.fence == accept.fence);
	assert_string_equal(heard.answer.verdict.proof, accept.proof);
	again.doubted = accept.fence;
	assert_int_equal(ended(store_acquire(token, &again))->word, FLEET_SAYS_GRANTED);

	again.check = false;
	assert_int_equal(ended(store_acquire(token, &again))->word, FLEET_SAYS_GRANTED);
	fail.fence = heard.answer.fence;
	assert_int_equal(ended(store_fail(token, &fail))->word, FLEET_SAYS_FAILED);
	assert_true(run_until(&heard.messages, 2, 10000));
	assert_true(heard.message.failure && heard.message.hold.ns == 7 * NS_PER_S);
	assert_int_equal(heard.message.class, RESPONSE_THROTTLED);
	assert_int_equal(ended(store_acquire(token, &again))->word, FLEET_SAYS_HOLD);
	assert_int_equal(ended(store_renew(token, fence, duration_s(5)))->word, FLEET_SAYS_LATE);

	stop.generation = fence;
	assert_int_equal(ended(store_stop(token, &stop))->word, FLEET_SAYS_GRANTED);
	stop.generation = heard.answer.fence;
	assert_int_equal(ended(store_stop(token, &stop))->word, FLEET_SAYS_PUT);
	assert_true(run_until(&heard.messages, 3, 10000));
	assert_true(heard.message.record.generation == stop.generation);

	assert_int_equal(store_permit(token, 3, duration_s(900)), 0);
	assert_int_equal(store_permit(token, 3, duration_s(900)), -EBUSY);
	assert_true(run_until(&heard.permits, 1, 10000));
	assert_true(heard.granted && heard.rank == 0);
	assert_int_equal(heard.downs, 0);
	store_end(store, token);
}

/* What a server forgets is sent again, for each operation, and asked for again. */
static void scripts_are_sent_when_they_are_missing(void **state)
{
	struct store_token *token;
	struct store *store;

	(void)state;
	if (!is_there())
		skip();
	admin("FLUSHALL");
	store = begin_as("minter", &token);
	for (int i = 0; i < 3; i++) {
		assert_true(*admin("SCRIPT FLUSH") == '+');
		/* A permit beside it: each has its own answers. */
		assert_int_equal(store_permit(token, 3, duration_s(900)), 0);
		assert_int_equal(ended(store_acquire(token, &acquire))->word, FLEET_SAYS_GRANTED);
		assert_true(run_until(&heard.permits, (unsigned)i + 1, 10000));
		assert_true(heard.granted);
	}
	assert_int_equal(heard.downs, 0);
	store_end(store, token);
}

static void a_follower_reads_and_hears_and_cannot_write(void **state)
{
	struct store_token *token;
	struct store *store;

	(void)state;
	if (!is_there())
		skip();
	admin("FLUSHALL");
	store = begin_as("follower", &token);
	assert_int_equal(ended(store_read(token))->word, FLEET_SAYS_RECORD);
	assert_int_equal(store_hosts(store), 1);
	refused(store_acquire(token, &acquire), "ACQUIRE: its user may not do that (NOPERM)");
	assert_int_equal(store_permit(token, 3, duration_s(900)), 0);
	assert_int_equal(ended(store_read(token))->word, FLEET_SAYS_RECORD);
	assert_int_equal(heard.permits, 0);
	assert_int_equal(heard.downs, 0);
	store_end(store, token);
}

static void users_that_may_not_do_enough(void **state)
{
	static const struct {
		const char *user, *words;
	} cases[] = {
		{"stranger", "AUTH: it refuses the user or the password (WRONGPASS)"},
		{"norole", "ROLE: its user may not do that (NOPERM)"},
		{"nochannel", "SUBSCRIBE: its user may not do that (NOPERM)"},
	};

	(void)state;
	if (!is_there())
		skip();
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct store_settings s = host_settings(cases[i].user);
		struct store_token *token;
		struct store *store = store_begin(&s, &token);

		assert_true(run_until(&heard.downs, 1, 15000));
		if (heard.ups || !strstr(heard.why, cases[i].words))
			fail_msg("%s: %s", cases[i].user, heard.why);
		store_end(store, token);
	}
}

static void pings_are_answered(void **state)
{
	struct store_token *token;
	struct store *store;

	(void)state;
	if (!is_there())
		skip();
	store = begin_as("follower", &token);
	assert_true(run_until(&heard.anchors, 3, 10000));
	/* And where nothing is subscribed to. */
	store_token_free(token);
	assert_true(run_until(&heard.anchors, 6, 10000));
	assert_int_equal(store_token_new(&token, store, &subject, 0, NULL), 0);
	assert_int_equal(ended(store_read(token))->word, FLEET_SAYS_RECORD);
	assert_true(run_until(&heard.anchors, 9, 10000));
	assert_int_equal(heard.downs, 0);
	store_end(store, token);
}

static void what_is_asked_of_a_token_that_goes_is_answered_to_nobody(void **state)
{
	struct store_token *token, *other;
	struct store *store;

	(void)state;
	if (!is_there())
		skip();
	admin("FLUSHALL");
	store = begin_as("minter", &token);
	assert_int_equal(store_token_new(&other, store, &subject, 1, NULL), 0);
	assert_int_equal(store_read(token), 0);
	assert_int_equal(store_permit(token, 3, duration_s(900)), 0);
	store_token_free(token);
	assert_int_equal(ended(store_acquire(other, &acquire))->word, FLEET_SAYS_GRANTED);
	assert_int_equal(heard.results, 1);
	assert_int_equal(heard.permits + heard.downs, 0);
	/* So one comes and goes at once. */
	assert_int_equal(store_token_new(&token, store, &subject, 2, NULL), 0);
	store_token_free(token);
	assert_int_equal(ended(store_read(other))->word, FLEET_SAYS_RECORD);
	assert_true(run_until(&heard.anchors, 3, 10000));
	assert_int_equal(heard.downs, 0);
	store_end(store, other);
}

static void connections_come_back(void **state)
{
	struct store_token *token;
	struct store *store;

	(void)state;
	if (!is_there())
		skip();
	store = begin_as("minter", &token);
	for (unsigned n = 1; n <= 2; n++) {
		assert_true(*admin(n == 1 ? "CLIENT KILL TYPE normal"
					  : "CLIENT KILL TYPE pubsub") == ':');
		assert_true(run_until(&heard.downs_of_up, n, 10000));
		assert_true(run_until(&heard.ups, n + 1, 15000));
		assert_int_equal(ended(store_read(token))->word, FLEET_SAYS_RECORD);
	}
	stop_server();
	assert_true(run_until(&heard.downs_of_up, 3, 10000));
	assert_int_equal(store_read(token), -ENOTCONN);
	start_server();
	assert_true(run_until(&heard.ups, 4, 30000));
	assert_int_equal(ended(store_acquire(token, &acquire))->word, FLEET_SAYS_GRANTED);
	store_end(store, token);
}

/* An operation that is under way when the server stops ends with the connection, in its time. */
static void a_server_that_stands_still(void **state)
{
	struct store_token *token;
	struct store *store;
	int64_t began;

	(void)state;
	if (!is_there())
		skip();
	store = begin_as("minter", &token);
	kill(server, SIGSTOP);
	assert_int_equal(store_read(token), 0);
	began = now_ms();
	assert_true(run_until(&heard.downs_of_up, 1, 10000));
	assert_true(now_ms() - began < 4000);
	assert_non_null(strstr(heard.why, "it did not answer in time"));
	assert_int_equal(heard.results, 0);
	kill(server, SIGCONT);
	assert_true(run_until(&heard.ups, 2, 30000));
	assert_int_equal(ended(store_read(token))->word, FLEET_SAYS_RECORD);
	store_end(store, token);
}

static void a_replica_is_left(void **state)
{
	struct store_token *token;
	struct store *store;
	unsigned ups;

	(void)state;
	if (!is_there())
		skip();
	store = begin_as("minter", &token);
	assert_int_equal(ended(store_read(token))->word, FLEET_SAYS_RECORD);
	assert_true(*admin("REPLICAOF 127.0.0.1 1") == '+');
	assert_int_equal(store_acquire(token, &acquire), 0);
	assert_true(run_until(&heard.downs_of_up, 1, 10000));
	assert_non_null(strstr(heard.why, "ACQUIRE: it is a replica (READONLY)"));
	assert_true(run_until(&heard.downs, 2, 15000));
	assert_non_null(strstr(heard.why, "it is a replica or a Sentinel"));
	ups = heard.ups;
	assert_true(*admin("REPLICAOF NO ONE") == '+');
	assert_true(run_until(&heard.ups, ups + 1, 30000));
	store_end(store, token);
}

/* ---- Sentinel ---- */

/* A command in one line to a server at a port; the first bytes of what it answers, NULL: nobody is
 * there. */
static const char *say(int port, const char *line)
{
	static char answer[4096];
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t n = -1;

	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		dprintf(fd, "%s\r\n", line) > 0)
		n = read(fd, answer, sizeof(answer) - 1);
	close(fd);
	answer[n > 0 ? n : 0] = '\0';
	return n > 0 ? answer : NULL;
}

static void wait_for(int port, const char *line, const char *part)
{
	int64_t end = now_ms() + 30000;
	const char *answer;

	while (!(answer = say(port, line)) || !strstr(answer, part)) {
		if (now_ms() > end)
			fail_msg("%s: %s", line, answer ? answer : "nothing");
		sleep_ms(20);
	}
}

static int free_port(void)
{
	int port;

	close(listener_new(&port));
	return port;
}

static pid_t run_at(int port, const char *more, const char *value, int value_port)
{
	char at[8], other[8];

	snprintf(at, sizeof(at), "%d", port);
	snprintf(other, sizeof(other), "%d", value_port);
	return run_server((const char *const[]){"--port", at, "--bind", "127.0.0.1", "--save", "",
		"--dir", folder, "--repl-diskless-sync-delay", "0", more, value, other, NULL});
}

static pid_t run_sentinel(int port, int primary)
{
	char config[80];
	FILE *file;

	snprintf(config, sizeof(config), "%s/sentinel.conf", folder);
	file = fopen(config, "w");
	assert_non_null(file);
	fprintf(file,
		"port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor mymaster 127.0.0.1 %d 1\n"
		"sentinel down-after-milliseconds mymaster 300\n"
		"sentinel failover-timeout mymaster 3000\n",
		port, folder, primary);
	assert_int_equal(fclose(file), 0);
	return run_server((const char *const[]){config, "--sentinel", NULL});
}

/* The first Sentinel is gone as well. What was put, and had reached the replica, is still there. */
static void a_failover_is_followed(void **state)
{
	const int first = free_port(), second = free_port(), sentinel = free_port();
	struct store_settings s = {
		.hosts = {{"127.0.0.1", (uint16_t)free_port()}, {"localhost", (uint16_t)sentinel}},
		.host_count = 2,
		.sentinel_name = "mymaster",
		.prefix = "gct",
		.host = "aaaa",
		.timeout = duration_s(2)};
	struct store_token *token;
	struct store *store;
	struct store_put put;
	pid_t processes[3];

	(void)state;
	if (!is_there())
		skip();
	processes[0] = run_at(first, NULL, NULL, 0);
	processes[1] = run_at(second, "--replicaof", "127.0.0.1", first);
	wait_for(second, "INFO replication", "master_link_status:up");
	processes[2] = run_sentinel(sentinel, first);
	wait_for(sentinel, "SENTINEL replicas mymaster", "slave");

	store = store_begin(&s, &token);
	if (!run_until(&heard.ups, 1, 30000))
		fail_msg("it does not get up: %s", heard.why);
	assert_int_equal(ended(store_read(token))->word, FLEET_SAYS_RECORD);
	put = put_of(77, "kept", heard.answer.stamp_us);
	assert_int_equal(ended(store_put(token, &put))->word, FLEET_SAYS_PUT);
	wait_for(second, "HGET gct:{0123456789abcdef0123456789abcdef}:0123456789abcdef:0:rec gen",
		"77");

	kill(processes[0], SIGKILL);
	assert_true(run_until(&heard.downs_of_up, 1, 10000));
	if (!run_until(&heard.ups, 2, 60000))
		fail_msg("it does not get up again: %s", heard.why);
	assert_int_equal(ended(store_acquire(token, &acquire))->word, FLEET_SAYS_NEWER);
	assert_true(heard.answer.record.generation == 77);
	store_end(store, token);
	for (size_t i = 0; i < LENGTH(processes); i++) {
		kill(processes[i], SIGKILL);
		waitpid(processes[i], NULL, 0);
	}
}

/* ---- */

#define ON(name) "user " name " on >" PASSWORD " "
/* The rights of a host that mints, and of one that only follows. */
#define MINTER \
	"~gct:* &gct:* -@all +auth +script|load +evalsha +role +ping +subscribe +unsubscribe " \
	"+pubsub|numsub +time +get +set +del +hget +hmget +hset +hincrby +incr +pexpire +pttl " \
	"+zadd +zcard +zrange +zremrangebyscore +publish"
#define FOLLOWER \
	"%R~gct:*:rec &gct:* -@all +auth +role +ping +subscribe +unsubscribe +pubsub|numsub " \
	"+time +hmget"

static int set_up(void **state)
{
	static const char acl[] = "user default off\n"
				  "user root on >root ~* &* +@all\n" ON("minter") MINTER
		"\n" ON("follower") FOLLOWER "\n" ON("norole") "-@all +auth\n" ON(
			"nochannel") "resetchannels -@all +auth +role +subscribe\n";
	FILE *file;

	if (loop_set_up(state) || !mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/redis.sock", folder);
	snprintf(acl_file, sizeof(acl_file), "%s/acl", folder);
	file = fopen(acl_file, "w");
	if (!file || fputs(acl, file) < 0 || fclose(file))
		return -1;
	if (find_program())
		start_server();
	else
		*program = '\0';
	return 0;
}

static int tear_down(void **state)
{
	DIR *d = opendir(folder);
	struct dirent *e;

	if (*program)
		stop_server();
	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(folder);
	return loop_tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_operation_and_its_message),
		cmocka_unit_test(scripts_are_sent_when_they_are_missing),
		cmocka_unit_test(a_follower_reads_and_hears_and_cannot_write),
		cmocka_unit_test(users_that_may_not_do_enough),
		cmocka_unit_test(pings_are_answered),
		cmocka_unit_test(what_is_asked_of_a_token_that_goes_is_answered_to_nobody),
		cmocka_unit_test(connections_come_back),
		cmocka_unit_test(a_server_that_stands_still),
		cmocka_unit_test(a_replica_is_left),
		cmocka_unit_test(a_failover_is_followed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
