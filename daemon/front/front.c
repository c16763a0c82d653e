#include "front.h"

#include "core/reply.h"
#include "state.h"
#include <errno.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/socket.h>

/* How late after T a connection may be cut: two ticks. Half a second for requests; the idle
 * timeout is housekeeping, and waking seldom is worth more than being exact. */
#define BUSY_PERIOD_MS 250
#define IDLE_PERIOD_MS 10000

static void resume_event(evutil_socket_t fd, short what, void *context)
{
	struct front *f = context;
	struct link turn;

	(void)fd;
	(void)what;
	link_init(&turn);
	/* those that ask for another turn get it in the next pass */
	link_move_all(&turn, &f->resume);
	while (!link_alone(&turn)) {
		struct link *first = turn.next;
		struct connection *c = LINK_ELEMENT(first, struct connection_bytes, resume)->owner;

		link_remove(first);
		if (!share_is_behind(c))
			connection_resume(c);
	}
}

int front_new(struct front **ret, struct event_base *base, const struct front_handler *handler,
	void *context, const struct front_limits *limits)
{
	struct front *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->base = base;
	f->handler = handler;
	f->context = context;
	f->limits = *limits;
	deadlines_init(&f->idle, base, limits->idle_timeout, duration_ms(IDLE_PERIOD_MS),
		connection_expired);
	deadlines_init(&f->busy, base, limits->request_deadline, duration_ms(BUSY_PERIOD_MS),
		connection_expired);
	link_init(&f->held);
	link_init(&f->resume);
	evtimer_assign(&f->resume_event, base, resume_event, f);
	buffer_init(&f->answers, f->answers_bytes, sizeof(f->answers_bytes));
	buffer_init(&f->late, f->late_bytes, sizeof(f->late_bytes));
	share_init(f);
	accept_init(f);
	*ret = f;
	return 0;
}

void front_set_limits(struct front *f, const struct front_limits *limits)
{
	f->limits = *limits;
	deadlines_set_length(&f->idle, limits->idle_timeout);
	deadlines_set_length(&f->busy, limits->request_deadline);
}

static struct connection *connection_first(const struct link *list)
{
	return LINK_ELEMENT(list->next, struct connection, deadline.link);
}

void front_stop(struct front *f)
{
	if (f->stopping)
		return;
	f->stopping = true;
	accept_stop(f);
	/* None comes back to this list: whatever it has sent, it is closed with the answer. */
	while (!link_alone(&f->idle.list))
		connection_stop(connection_first(&f->idle.list));
}

void front_free(struct front *f)
{
	struct link *lists[3];

	if (!f)
		return;
	lists[0] = &f->held;
	lists[1] = &f->busy.list;
	lists[2] = &f->idle.list;
	f->stopping = true;
	accept_fini(f);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		while (!link_alone(lists[i]))
			connection_free(connection_first(lists[i]));
	event_del(&f->resume_event);
	share_fini(f);
	peer_table_trim(&f->peers);
	deadlines_fini(&f->idle);
	deadlines_fini(&f->busy);
	buffer_fini(&f->answers);
	buffer_fini(&f->late);
	free(f);
}

const struct front_counters *front_counters(const struct front *f)
{
	return &f->counters;
}

void front_count(struct front *f, int status)
{
	if (status > 0 &&
		(size_t)status < sizeof(f->counters.requests) / sizeof(*f->counters.requests))
		f->counters.requests[status]++;
}

void front_send_error(
	int fd, int status, const char *code, const char *words, int64_t retry_after_s)
{
	char bytes[512];
	struct buffer b;

	buffer_init(&b, bytes, sizeof(bytes));
	reply_error(&b, status, false, code, words, retry_after_s);
	/* All or nothing is not promised: it is closed in any case. */
	if (!buffer_failed(&b))
		send(fd, b.data, b.length, MSG_DONTWAIT | MSG_NOSIGNAL);
	buffer_fini(&b);
}

void front_buffer_reset(struct front *f, struct buffer *b)
{
	buffer_fini(b);
	if (b == &f->answers)
		buffer_init(b, f->answers_bytes, sizeof(f->answers_bytes));
	else
		buffer_init(b, f->late_bytes, sizeof(f->late_bytes));
}
