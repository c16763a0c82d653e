/* Who the front says is at the other end: real users and groups in child processes, every failing
 * look-up, units. */
#include "front_fixture.h"

#include "front/peer_unit.h"

#include <grp.h>
#include <poll.h>
#include <sys/wait.h>

static char *found_unit; /* NULL: none */
static unsigned unit_lookups;

int sd_pid_get_unit(pid_t pid, char **ret);

/* A machine that runs the tests need not run a service manager. */
int sd_pid_get_unit(pid_t pid, char **ret)
{
	unit_lookups++;
	assert_true(pid > 0);
	if (!found_unit)
		return -ENODATA;
	*ret = strdup(found_unit);
	return *ret ? 0 : -ENOMEM;
}

/* Blocking, in a child: asks who it is and compares. */
static int ask_who(const char *expected)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct got g = {0};
	char body[8192];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	alarm(10);
	memcpy(address.sun_path, path, strlen(path));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return 2;
	if (write(fd, REQUEST("/peer"), strlen(REQUEST("/peer"))) < 0)
		return 3;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (g.answers < 1 && !g.ended) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		poll(&p, 1, -1);
		client_pull(fd, &g);
	}
	if (g.answers != 1 || answer_at(&g, 0, body, sizeof(body)) != 200)
		return 4;
	if (strcmp(body, expected)) {
		fprintf(stderr, "# is:       %s\n# expected: %s\n", body, expected);
		return 5;
	}
	got_free(&g);
	return 0;
}

static bool child_ended(pid_t pid, int *ret_status)
{
	return waitpid(pid, ret_status, WNOHANG) == pid;
}

static void assert_peer(
	uid_t uid, gid_t gid, const gid_t *groups, size_t count, const char *expected)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		if (setgroups(count, groups) < 0 || setresgid(gid, gid, gid) < 0 ||
			setresuid(uid, uid, uid) < 0)
			_exit(1);
		_exit(ask_who(expected));
	}
	WAIT_UNTIL(child_ended(pid, &status));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void skip_unless_root(void)
{
	if (geteuid() != 0) {
		print_message("becoming another user takes root\n");
		skip();
	}
}

static void users_and_groups_are_told(void **state)
{
	static const gid_t few[] = {7001, 7002, 7003};
	static const gid_t with_own[] = {6000, 7001, 6000};
	static const gid_t own[] = {6000};

	(void)state;
	skip_unless_root();
	assert_peer(5001, 6000, NULL, 0, "uid 5001 gid 6000 groups");
	assert_peer(5001, 6000, few, 3, "uid 5001 gid 6000 groups 7001 7002 7003");
	assert_peer(5002, 6001, few, 3, "uid 5002 gid 6001 groups 7001 7002 7003");
	/* the own group is not told twice */
	assert_peer(5001, 6000, with_own, 3, "uid 5001 gid 6000 groups 7001");
	assert_peer(5001, 6000, own, 1, "uid 5001 gid 6000 groups");
	assert_peer(0, 0, few, 1, "uid 0 gid 0 groups 7001");
}

/* More than fit at first: the kernel says how many there are. */
static void many_groups_are_told(void **state)
{
	static const size_t counts[] = {63, 64, 65, 700};
	gid_t groups[700];
	char expected[8192];

	(void)state;
	skip_unless_root();
	for (size_t c = 0; c < COUNT(counts); c++) {
		size_t length =
			(size_t)snprintf(expected, sizeof(expected), "uid 5001 gid 6000 groups");

		for (size_t i = 0; i < counts[c]; i++) {
			groups[i] = (gid_t)(10000 + i);
			length += (size_t)snprintf(
				expected + length, sizeof(expected) - length, " %u", groups[i]);
		}
		assert_peer(5001, 6000, groups, counts[c], expected);
	}
}

/* Who is in more than 4,096 is known by user and group alone. */
static void too_many_groups_are_none(void **state)
{
	enum { MOST = 4096 };
	gid_t *groups = calloc(65536, sizeof(*groups)), before[256];
	int before_count = getgroups(COUNT(before), before);

	(void)state;
	if (geteuid() != 0)
		free(groups);
	skip_unless_root();
	assert_non_null(groups);
	assert_true(before_count >= 0);
	for (size_t i = 0; i < 65536; i++)
		groups[i] = (gid_t)(10000 + i);
	assert_peer(5001, 6000, groups, MOST + 1, "uid 5001 gid 6000 groups");
	assert_peer(5001, 6000, groups, 65536, "uid 5001 gid 6000 groups");
	assert_int_equal(setgroups(MOST, groups), 0);
	int fd = client_served();
	client_write(fd, REQUEST("/hold"));
	WAIT_UNTIL(held_count == 1);
	assert_int_equal(setgroups((size_t)before_count, before), 0);
	assert_int_equal(connection_peer_in_groups(held[0])->group_count, MOST);
	close(fd);
	WAIT_UNTIL(abandoned_count == 1);
	free(groups);
}

static void equal_groups_are_kept_once(void **state)
{
	static const gid_t one[] = {7001, 7002}, other[] = {7001};
	const gid_t *lists[3];
	gid_t before[256];
	int fds[3], before_count = getgroups(COUNT(before), before);

	(void)state;
	skip_unless_root();
	assert_true(before_count >= 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(setgroups(i == 1 ? 1 : 2, i == 1 ? other : one), 0);
		fds[i] = client_served();
		client_write(fds[i], REQUEST("/hold"));
		WAIT_UNTIL(held_count == i + 1);
		lists[i] = connection_peer_in_groups(held[i])->groups;
	}
	assert_int_equal(setgroups((size_t)before_count, before), 0);
	assert_ptr_equal(lists[0], lists[2]);
	assert_ptr_not_equal(lists[0], lists[1]);
	/* and live as long as anyone needs them */
	close(fds[0]);
	WAIT_UNTIL(abandoned_count == 1);
	assert_ptr_equal(connection_peer_in_groups(held[1])->groups, lists[0]);
	assert_int_equal(connection_peer_in_groups(held[1])->group_count, 2);
	assert_int_equal(lists[0][1], 7002);
	close(fds[1]);
	close(fds[2]);
	WAIT_UNTIL(abandoned_count == 3);
}

/* Whatever cannot be found out, nobody at all is what is left. */
static void failing_lookups_leave_nobody(void **state)
{
	static const int options[] = {SO_PEERCRED, SO_PEERGROUPS};
	static const int errors[] = {
		ENOPROTOOPT, EINVAL, ENODATA, ENOTCONN, ENOMEM, EFAULT, ERANGE};

	(void)state;
	for (size_t o = 0; o < COUNT(options); o++) {
		for (size_t e = 0; e < COUNT(errors); e++) {
			char body[256];
			int fd;

			getsockopt_failing = options[o];
			getsockopt_error = errors[e];
			fd = client_served();
			assert_int_equal(ask(fd, REQUEST("/peer"), body, sizeof(body)), 200);
			getsockopt_error = 0;
			assert_string_equal(body, "uid -1 gid -1 groups");
			assert_int_equal(ask(fd, REQUEST("/peer"), body, sizeof(body)), 200);
			assert_string_equal(body, "uid -1 gid -1 groups");
			assert_int_equal(ask(fd, REQUEST("/unit"), body, sizeof(body)), 200);
			assert_string_equal(body, "none");
			close(fd);
		}
	}
	WAIT_UNTIL(front_counters(front)->connections == 0);
	assert_int_equal(unit_lookups, 0);
}

static void users_are_counted_apart(void **state)
{
	struct front_limits limits = limits_default();
	int fd, unknown;
	char body[256];

	(void)state;
	skip_unless_root();
	limits.max_connections_per_user = 1;
	front_set_limits(front, &limits);
	fd = client_served();
	/* another user's share is untouched, and there is one for those unknown */
	assert_peer(5001, 6000, NULL, 0, "uid 5001 gid 6000 groups");
	getsockopt_failing = SO_PEERCRED;
	getsockopt_error = EINVAL;
	unknown = client_served();
	client_new();
	WAIT_UNTIL(front_counters(front)->refused_user_limit == 1);
	getsockopt_error = 0;
	assert_int_equal(ask(unknown, REQUEST("/peer"), body, sizeof(body)), 200);
	assert_string_equal(body, "uid -1 gid -1 groups");
	close(fd);
	close(unknown);
}

static void assert_unit(int fd, const char *expected)
{
	char body[256];

	assert_int_equal(ask(fd, REQUEST("/unit"), body, sizeof(body)), 200);
	assert_string_equal(body, expected);
}

static void units_are_told(void **state)
{
	static char name[] = "shop.service";
	int fd = client_served();

	(void)state;
	found_unit = name;
	unit_lookups = 0;
	assert_unit(fd, "shop.service");
	/* found out once */
	found_unit = NULL;
	assert_unit(fd, "shop.service");
	assert_int_equal(unit_lookups, 1);
	close(fd);
	fd = client_served();
	assert_unit(fd, "none");
	found_unit = name;
	assert_unit(fd, "none");
	assert_int_equal(unit_lookups, 2);
	close(fd);
}

#define PEERPIDFD 77

static void units_without_the_newest_kernel(void **state)
{
	static char name[] = "shop.service";
	int fd = client_served();

	(void)state;
	found_unit = name;
	getsockopt_failing = PEERPIDFD;
	/* the id may be a later process's by now, whatever its unit */
	getsockopt_error = ENOPROTOOPT;
	assert_unit(fd, "none");
	assert_false(peer_unit_possible());
	getsockopt_error = 0;
	assert_unit(fd, "none");
	assert_true(peer_unit_possible());
	close(fd);
	fd = client_served();
	getsockopt_error = ESRCH;
	assert_unit(fd, "none");
	assert_true(peer_unit_possible());
	getsockopt_error = 0;
	assert_unit(fd, "none");
	close(fd);
	/* but a shortage passes */
	fd = client_served();
	getsockopt_error = EMFILE;
	assert_unit(fd, "none");
	getsockopt_error = 0;
	assert_unit(fd, "shop.service");
	close(fd);
}

/* Once for a request, however many profiles that is about; and again for a later one. */
static void units_are_looked_at_again(void **state)
{
	static char name[] = "shop.service";
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), ends[2],
	    status = 0;
	uint64_t before = front_counters(front)->accepted;
	char body[256];
	pid_t pid;

	(void)state;
	found_unit = name;
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(ends[1]);
		_exit(client_connect(fd) == fd && read(ends[0], body, 1) == 0 ? 0 : 1);
	}
	close(ends[0]);
	WAIT_UNTIL(front_counters(front)->accepted > before);
	for (unsigned i = 1; i <= 3; i++) {
		unsigned asked = pidfds_asked_for;

		assert_int_equal(ask(fd, REQUEST("/unit?1000"), body, sizeof(body)), 200);
		assert_string_equal(body, "shop.service");
		/* the first time it is also found out which it is */
		assert_int_equal(pidfds_asked_for - asked, i == 1 ? 2 : 1);
		turn_for(30);
	}
	close(ends[1]);
	WAIT_UNTIL(child_ended(pid, &status));
	assert_int_equal(status, 0);
	turn_for(30);
	assert_unit(fd, "none");
	close(fd);
}

/* A connection that outlives the process that made it has no unit: the id may be another's. */
static void dead_peers_have_no_unit(void **state)
{
	static char name[] = "shop.service";
	static const int errors[] = {0, ENOPROTOOPT};

	(void)state;
	found_unit = name;
	for (size_t i = 0; i < COUNT(errors); i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), status = 0;
		uint64_t before = front_counters(front)->accepted;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid)
			_exit(client_connect(fd) == fd ? 0 : 1);
		WAIT_UNTIL(front_counters(front)->accepted > before);
		WAIT_UNTIL(child_ended(pid, &status));
		assert_int_equal(status, 0);
		getsockopt_failing = PEERPIDFD;
		getsockopt_error = errors[i];
		assert_unit(fd, "none");
		getsockopt_error = 0;
		close(fd);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, front_setup, front_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(users_and_groups_are_told),
		TEST(many_groups_are_told),
		TEST(too_many_groups_are_none),
		TEST(equal_groups_are_kept_once),
		TEST(failing_lookups_leave_nobody),
		TEST(users_are_counted_apart),
		TEST(units_are_told),
		TEST(units_without_the_newest_kernel),
		TEST(units_are_looked_at_again),
		TEST(dead_peers_have_no_unit),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
