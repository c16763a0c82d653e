/* How a store is reached: names and addresses, TLS and who is at its other end, passwords,
 * Sentinels, and servers and resolvers that never answer. */
#include "store_fixture.h"

#include <dlfcn.h>
#include <netdb.h>

#define STALL_MOST_MS 50

/* Names below dead.test hang until they are let go; store.test is 127.0.0.1, two.test is 127.0.0.2
 * first and then that. */
static pthread_mutex_t dns_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t dns_let_go = PTHREAD_COND_INITIALIZER;
static bool dns_released;
static int dns_inside;

int getaddrinfo(
	const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	struct addrinfo *last;
	int r;

	pthread_mutex_lock(&dns_lock);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (strstr(node, "dead.test")) {
		dns_inside++;
		while (!dns_released)
			pthread_cond_wait(&dns_let_go, &dns_lock);
		dns_inside--;
		pthread_cond_broadcast(&dns_let_go);
	}
	pthread_mutex_unlock(&dns_lock);
	if (strcmp(node, "two.test") != 0)
		return real(strstr(node, ".test") ? "127.0.0.1" : node, service, hints, ret);
	r = real("127.0.0.2", service, hints, ret);
	for (last = *ret; last->ai_next;)
		last = last->ai_next;
	return r ? r : real("127.0.0.1", service, hints, &last->ai_next);
}

static struct identity authority, other_authority, good, of_address, of_other, of_nobody, ended,
	host;
static char ca_file[] = "/tmp/test_store_ca.XXXXXX", cert_file[] = "/tmp/test_store_cert.XXXXXX",
	    key_file[] = "/tmp/test_store_key.XXXXXX";

static SSL_CTX *tls_as(const struct identity *i)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	CHECK(context && SSL_CTX_use_certificate(context, i->certificate) == 1);
	CHECK(SSL_CTX_use_PrivateKey(context, i->key) == 1);
	return context;
}

static struct store_settings named(const struct redis_fake *f, const char *name)
{
	struct store_settings s = settings_of(f);

	s.hosts[0].name = name;
	s.user = "gctoken";
	s.password = PASSWORD;
	return s;
}

static struct store_settings secured(const struct redis_fake *f, const char *name)
{
	struct store_settings s = named(f, name);

	s.tls = true;
	s.ca_file = ca_file;
	return s;
}

/* It gets up, and a READ is answered. */
static void expect_up(const struct store_settings *s)
{
	struct store_token *token;
	struct store *store = store_begin(s, &token);

	if (!run_until(&heard.ups, 1, 15000))
		fail_msg("it does not get up: %s", heard.why);
	assert_int_equal(store_read(token), 0);
	assert_true(run_until(&heard.results, 1, 10000));
	assert_true(heard.answered);
	assert_int_equal(store_hosts(store), 3);
	store_end(store, token);
}

/* It does not, and says why. */
static void expect_down(const struct store_settings *s, const char *words)
{
	struct store_token *token;
	struct store *store = store_begin(s, &token);

	assert_true(run_until(&heard.downs, 2, 30000));
	assert_int_equal(heard.ups, 0);
	if (!strstr(heard.why, words))
		fail_msg("not \"%s\" but: %s", words, heard.why);
	assert_null(strstr(heard.why, PASSWORD));
	store_end(store, token);
}

static void plain_by_name_and_by_address(void **state)
{
	static const char *const names[] = {"127.0.0.1", "store.test", "two.test", "localhost"};
	struct redis_fake f = {.password = PASSWORD};

	(void)state;
	fake_start(&f);
	for (size_t i = 0; i < LENGTH(names); i++) {
		struct store_settings s = named(&f, names[i]);

		expect_up(&s);
	}
	assert_true(fake_heard(&f, "AUTH gctoken " PASSWORD "\nROLE\n"));
	assert_false(fake_heard(&f, "SELECT"));
	fake_stop(&f);
}

static void a_path_a_password_without_a_user_and_a_database(void **state)
{
	struct redis_fake f = {.password = PASSWORD};
	struct store_settings s;

	(void)state;
	snprintf(f.path, sizeof(f.path), "/tmp/test_store.%d", (int)getpid());
	fake_start(&f);
	s = settings_of(&f);
	s.password = PASSWORD;
	s.database = 3;
	expect_up(&s);
	assert_true(fake_heard(&f, "AUTH " PASSWORD "\nSELECT 3\nROLE\n"));
	fake_stop(&f);
}

static struct {
	unsigned asked;
	char path[108];
	uid_t listener;
	bool fit;
} judged;

static bool judge_listener(const char *path, uid_t listener, char *problem, size_t problem_size)
{
	judged.asked++;
	judged.listener = listener;
	snprintf(judged.path, sizeof(judged.path), "%s", path);
	if (!judged.fit)
		snprintf(problem, problem_size, "lies where others are");
	return judged.fit;
}

/* Others can listen at a path while the store is away. */
static void the_password_is_told_to_nobody_else_at_a_path(void **state)
{
	struct redis_fake f = {.password = PASSWORD};
	struct store_settings s;

	(void)state;
	memset(&judged, 0, sizeof(judged));
	snprintf(f.path, sizeof(f.path), "/tmp/test_store.%d", (int)getpid());
	fake_start(&f);
	s = settings_of(&f);
	s.password = PASSWORD;
	s.listener_fit = judge_listener;
	expect_down(&s, "it is not told the password: uid ");
	expect_down(&s, "listens there, and the socket lies where others are. Have it in a folder");
	assert_string_equal(judged.path, f.path);
	assert_int_equal(judged.listener, geteuid());
	assert_int_equal(f.bytes_in, 0);
	judged.fit = true;
	judged.asked = 0;
	expect_up(&s);
	assert_int_equal(judged.asked, 2); /* for either connection */
	fake_stop(&f);
	/* without a password there is nothing to keep */
	f = (struct redis_fake){.password = NULL};
	snprintf(f.path, sizeof(f.path), "/tmp/test_store.%d", (int)getpid());
	fake_start(&f);
	s.password = NULL;
	judged.asked = 0;
	expect_up(&s);
	assert_int_equal(judged.asked, 0);
	fake_stop(&f);
}

static void tls_by_name_and_by_address(void **state)
{
	struct redis_fake f = {.password = PASSWORD, .tls = tls_as(&good)};
	struct redis_fake by_address = {.password = PASSWORD, .tls = tls_as(&of_address)};
	struct store_settings s;

	(void)state;
	fake_start(&f);
	fake_start(&by_address);
	s = secured(&f, "store.test");
	expect_up(&s);
	s = secured(&by_address, "127.0.0.1");
	expect_up(&s);
	fake_stop(&f);
	fake_stop(&by_address);
	SSL_CTX_free(f.tls);
	SSL_CTX_free(by_address.tls);
}

static void a_ping_goes_with_a_read_by_tls(void **state)
{
	struct redis_fake f = {.password = PASSWORD, .tls = tls_as(&good)};
	struct store_settings s;
	struct store_token *token;
	struct store *store;

	(void)state;
	fake_start(&f);
	s = secured(&f, "store.test");
	s.timeout = duration_s(20);
	store = store_begin(&s, &token);
	assert_true(run_until(&heard.ups, 1, 15000));
	for (unsigned n = 1; n <= 3; n++) {
		ahead = duration_add(ahead, duration_s(10));
		assert_int_equal(store_read(token), 0);
		assert_true(run_until(&heard.results, n, 10000));
		assert_int_equal(heard.anchors, n);
	}
	store_end(store, token);
	fake_stop(&f);
	SSL_CTX_free(f.tls);
}

/* Nothing of what this host would say arrives: not a command, and least of all the password. */
static void nothing_is_told_to_the_wrong_server(void **state)
{
	const struct {
		const struct identity *identity;
		const char *name, *words;
	} cases[] = {
		{&of_other, "store.test", "its certificate is not for store.test"},
		{&of_nobody, "store.test", "its certificate is not trusted"},
		{&ended, "store.test", "its certificate is not trusted: certificate has expired"},
		{&good, "127.0.0.1", "its certificate is not for 127.0.0.1"},
		{&of_address, "store.test", "its certificate is not for store.test"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct redis_fake f = {.password = PASSWORD, .tls = tls_as(cases[i].identity)};
		struct store_settings s;

		fake_start(&f);
		s = secured(&f, cases[i].name);
		expect_down(&s, cases[i].words);
		assert_true(atomic_load(&f.connections) >= 2);
		assert_int_equal(atomic_load(&f.bytes_in), 0);
		fake_stop(&f);
		SSL_CTX_free(f.tls);
	}
}

static void old_tls_is_refused(void **state)
{
	struct redis_fake f = {.password = PASSWORD, .tls = tls_as(&good)};
	struct store_settings s;

	(void)state;
	SSL_CTX_set_security_level(f.tls, 0);
	SSL_CTX_set_max_proto_version(f.tls, TLS1_1_VERSION);
	fake_start(&f);
	s = secured(&f, "store.test");
	expect_down(&s, "TLS failed");
	assert_int_equal(atomic_load(&f.bytes_in), 0);
	fake_stop(&f);
	SSL_CTX_free(f.tls);
}

static void tls_where_there_is_none_and_the_reverse(void **state)
{
	struct redis_fake plain = {.greeting = "-ERR Protocol error\r\n"};
	struct redis_fake tls = {.tls = tls_as(&good)};
	struct store_settings s;

	(void)state;
	fake_start(&plain);
	s = secured(&plain, "store.test");
	expect_down(&s, "it does not speak TLS at this port");
	assert_false(fake_heard(&plain, PASSWORD));
	fake_stop(&plain);
	fake_start(&tls);
	s = named(&tls, "store.test");
	expect_down(&s, "store.test: it hung up before it answered anything; a port for TLS needs "
			"rediss:// in fleet_store");
	fake_stop(&tls);
	SSL_CTX_free(tls.tls);
}

static int any_certificate(int fine, X509_STORE_CTX *c)
{
	(void)fine, (void)c;
	return 1;
}

static void a_server_that_wants_a_certificate(void **state)
{
	struct redis_fake f = {.tls = tls_as(&good)};
	struct store_settings s;

	(void)state;
	SSL_CTX_set_verify(
		f.tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, any_certificate);
	fake_start(&f);
	s = secured(&f, "store.test");
	s.password = NULL;
	expect_down(&s, "certificate required");
	s.cert_file = cert_file;
	s.cert_key_file = key_file;
	expect_up(&s);
	fake_stop(&f);
	SSL_CTX_free(f.tls);
}

static void files_that_cannot_be_used(void **state)
{
	struct redis_fake f = {.port = 1};
	struct store_settings s = secured(&f, "store.test");
	struct store *store = NULL;
	char why[256];

	(void)state;
	s.ca_file = "/nonexistent/ca.pem";
	assert_int_equal(
		store_new(&store, base, read_clocks, &s, &store_hooks, NULL, why), -EINVAL);
	assert_non_null(strstr(why, "fleet_ca_file /nonexistent/ca.pem cannot be used"));
	s.ca_file = ca_file;
	s.cert_file = key_file;
	s.cert_key_file = key_file;
	assert_int_equal(
		store_new(&store, base, read_clocks, &s, &store_hooks, NULL, why), -EINVAL);
	assert_non_null(strstr(why, "fleet_cert_file /tmp/test_store_key"));
	s.cert_file = ca_file; /* another's key */
	assert_int_equal(
		store_new(&store, base, read_clocks, &s, &store_hooks, NULL, why), -EINVAL);
	assert_non_null(strstr(why, "fleet_cert_key_file /tmp/test_store_key"));
	assert_null(store);
}

static void passwords(void **state)
{
	static const char denied[] =
		"-ERR AUTH <password> called without any password configured for "
		"the default user. Is " PASSWORD " right?\r\n";
	struct redis_fake f = {.password = PASSWORD};
	struct redis_fake repeats = {
		.command = "AUTH", .answer = denied, .answer_length = strlen(denied)};
	struct store_settings s;

	(void)state;
	fake_start(&f);
	s = named(&f, "store.test");
	s.password = "wrong";
	expect_down(&s, "AUTH: it refuses the user or the password (WRONGPASS)");
	s.password = NULL;
	expect_down(&s, "ROLE: it wants a password (NOAUTH)");
	fake_stop(&f);
	fake_start(&repeats);
	s = named(&repeats, "store.test");
	expect_down(&s, "AUTH: it answered with an error that is not known here");
	fake_stop(&repeats);
}

static void nobody_there(void **state)
{
	struct redis_fake f = {.port = 0};
	struct store_settings s;

	(void)state;
	fake_start(&f);
	s = settings_of(&f);
	fake_stop(&f);
	expect_down(&s, "127.0.0.1: it cannot be connected to: Connection refused");
	s.hosts[0].name = "nothing.invalid";
	expect_down(&s, "nothing.invalid: its name cannot be resolved: ");
	s.path = "/nonexistent/redis.sock";
	expect_down(&s, "/nonexistent/redis.sock: it cannot be connected to: No such file");
}

/* ---- what never answers ---- */

/* The loop goes on all the while. */
static void expect_no_stall(const struct store_settings *s, int64_t ms)
{
	struct store_token *token;
	struct store *store = store_begin(s, &token);
	const unsigned never = 0;

	assert_false(run_until(&never, 1, ms));
	assert_int_equal(heard.ups + heard.downs, 0);
	if (slowest_ms > STALL_MOST_MS)
		fail_msg("the loop stood for %lld ms", (long long)slowest_ms);
	print_message(
		"# %s: the loop stood for %lld ms\n", s->hosts[0].name, (long long)slowest_ms);
	/* Nor does the end wait for anybody. */
	ms = own_ms();
	store_end(store, token);
	assert_true(own_ms() - ms <= STALL_MOST_MS);
}

static int silent_listener(int *ret_port)
{
	return listener_new(ret_port);
}

static void a_resolver_that_never_answers(void **state)
{
	struct redis_fake f = {.port = 1};
	struct store_settings s = named(&f, "dead.test");
	struct store_token *token;
	struct store *store;

	(void)state;
	/* Each leaves its thread behind, up to so many. */
	for (int i = 0; i < 8; i++)
		expect_no_stall(&s, 30);
	store = store_begin(&s, &token);
	assert_true(run_until(&heard.downs, 1, 10000));
	assert_non_null(strstr(heard.why, "the system's resolver does not answer"));
	store_end(store, token);
	/* When it does, all is as before. */
	pthread_mutex_lock(&dns_lock);
	assert_int_equal(dns_inside, 8);
	dns_released = true;
	pthread_cond_broadcast(&dns_let_go);
	while (dns_inside)
		pthread_cond_wait(&dns_let_go, &dns_lock);
	pthread_mutex_unlock(&dns_lock);
	f = (struct redis_fake){0};
	fake_start(&f);
	s = named(&f, "store.test");
	s.password = NULL;
	store = store_begin(&s, &token);
	assert_true(run_until(&heard.ups, 1, 15000));
	store_end(store, token);
	fake_stop(&f);
}

static void a_server_that_never_speaks(void **state)
{
	struct redis_fake f = {0};
	struct store_settings s;
	int listener = silent_listener(&f.port);

	(void)state;
	s = named(&f, "127.0.0.1");
	expect_no_stall(&s, 300);
	s = secured(&f, "127.0.0.1");
	expect_no_stall(&s, 300);
	close(listener);
}

/* ---- Sentinels ---- */

static void answer_primary(char ret[64], int port)
{
	char text[8];

	snprintf(text, sizeof(text), "%d", port);
	snprintf(ret, 64, "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(text), text);
}

static void any_sentinel_that_answers_tells_the_primary(void **state)
{
	static const char *const no_use[] = {"*-1\r\n", "-ERR No such master with that name\r\n",
		"*2\r\n$9\r\n127.0.0.1\r\n$5\r\n99999\r\n", "*2\r\n$2\r\n\x01z\r\n$1\r\n1\r\n",
		"*1\r\n$1\r\n1\r\n", "+OK\r\n", "*1000000000\r\n"};
	struct redis_fake primary = {.password = PASSWORD}, sentinel = {0}, wrong = {0}, gone = {0};
	struct store_settings s;
	char answer[64];

	(void)state;
	fake_start(&primary);
	fake_start(&sentinel);
	fake_start(&gone);
	fake_stop(&gone);
	answer_primary(answer, primary.port);
	sentinel.primary = answer;
	for (size_t i = 0; i < LENGTH(no_use); i++) {
		wrong = (struct redis_fake){.primary = no_use[i]};
		fake_start(&wrong);
		s = named(&primary, NULL);
		s.sentinel_name = "mymaster";
		s.hosts[0] = (struct store_host){"127.0.0.1", (uint16_t)gone.port};
		s.hosts[1] = (struct store_host){"127.0.0.1", (uint16_t)wrong.port};
		s.hosts[2] = (struct store_host){"store.test", (uint16_t)sentinel.port};
		s.host_count = 3;
		expect_up(&s);
		s.host_count = 2;
		expect_down(&s, "Sentinel ");
		fake_stop(&wrong);
	}
	assert_true(fake_heard(&sentinel, "SENTINEL get-master-addr-by-name mymaster\n"));
	/* It is not told the password of the store, unless it wants it. */
	assert_false(fake_heard(&sentinel, "AUTH"));
	fake_stop(&sentinel);
	fake_stop(&primary);
}

static void a_sentinel_that_wants_the_password(void **state)
{
	struct redis_fake primary = {.password = PASSWORD}, sentinel = {.password = PASSWORD};
	struct store_settings s;
	char answer[64];

	(void)state;
	fake_start(&primary);
	answer_primary(answer, primary.port);
	sentinel.primary = answer;
	fake_start(&sentinel);
	s = named(&sentinel, "store.test");
	s.sentinel_name = "mymaster";
	expect_up(&s);
	s.password = NULL;
	expect_down(&s, "Sentinel store.test: it wants a password (NOAUTH)");
	fake_stop(&sentinel);
	fake_stop(&primary);
}

/* A failover: the one that was the primary says that it is not, and the Sentinels name another. */
static void the_primary_is_asked_for_again(void **state)
{
	static const char replica[] =
		"*5\r\n$5\r\nslave\r\n$1\r\na\r\n:1\r\n$9\r\nconnected\r\n:1\r\n";
	struct redis_fake old = {
		.command = "ROLE", .answer = replica, .answer_length = strlen(replica)};
	struct redis_fake new = {0}, sentinel = {0};
	struct store_settings s;
	struct store_token *token;
	struct store *store;
	char first[64], second[64];

	(void)state;
	fake_start(&old);
	fake_start(&new);
	answer_primary(first, old.port);
	answer_primary(second, new.port);
	sentinel.primary = first;
	fake_start(&sentinel);
	s = settings_of(&sentinel);
	s.sentinel_name = "mymaster";
	store = store_begin(&s, &token);
	assert_true(run_until(&heard.downs, 1, 15000));
	assert_non_null(strstr(heard.why, "it is a replica or a Sentinel"));
	sentinel.primary = second;
	assert_true(run_until(&heard.ups, 1, 15000));
	store_end(store, token);
	fake_stop(&sentinel);
	fake_stop(&old);
	fake_stop(&new);
}

static void key_write(const struct identity *i, char path[])
{
	FILE *file = fdopen(mkstemp(path), "w");

	CHECK(file && PEM_write_PrivateKey(file, i->key, NULL, NULL, 0, NULL, NULL));
	CHECK(fclose(file) == 0);
}

static int set_up(void **state)
{
	authority = identity_new(NULL, NULL, 30);
	other_authority = identity_new(NULL, NULL, 30);
	good = identity_new(&authority, "DNS:store.test", 30);
	of_address = identity_new(&authority, "IP:127.0.0.1", 30);
	of_other = identity_new(&authority, "DNS:other.test,DNS:*.store.test,DNS:st*.test", 30);
	of_nobody = identity_new(&other_authority, "DNS:store.test", 30);
	ended = identity_new(&authority, "DNS:store.test", -1);
	host = identity_new(&authority, "DNS:host.test", 30);
	identity_write(&authority, ca_file);
	identity_write(&host, cert_file);
	key_write(&host, key_file);
	return loop_set_up(state);
}

static int tear_down(void **state)
{
	struct identity *all[] = {&authority, &other_authority, &good, &of_address, &of_other,
		&of_nobody, &ended, &host};

	for (size_t i = 0; i < LENGTH(all); i++)
		identity_free(all[i]);
	unlink(ca_file);
	unlink(cert_file);
	unlink(key_file);
	return loop_tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_by_name_and_by_address),
		cmocka_unit_test(a_path_a_password_without_a_user_and_a_database),
		cmocka_unit_test(the_password_is_told_to_nobody_else_at_a_path),
		cmocka_unit_test(tls_by_name_and_by_address),
		cmocka_unit_test(a_ping_goes_with_a_read_by_tls),
		cmocka_unit_test(nothing_is_told_to_the_wrong_server),
		cmocka_unit_test(old_tls_is_refused),
		cmocka_unit_test(tls_where_there_is_none_and_the_reverse),
		cmocka_unit_test(a_server_that_wants_a_certificate),
		cmocka_unit_test(files_that_cannot_be_used),
		cmocka_unit_test(passwords),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(a_resolver_that_never_answers),
		cmocka_unit_test(a_server_that_never_speaks),
		cmocka_unit_test(any_sentinel_that_answers_tells_the_primary),
		cmocka_unit_test(a_sentinel_that_wants_the_password),
		cmocka_unit_test(the_primary_is_asked_for_again),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
