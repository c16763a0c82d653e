#include "profile_log.h"

#include "profile_type.h"

#include "host/log.h"

void profile_log(struct profile *p)
{
	const struct history *h = &p->history;

	if (p->logged + 1 < history_first(h))
		p->logged = history_first(h) - 1;
	while (p->logged < h->count) {
		const struct history_event *e = history_get(h, ++p->logged);

		log_event(event_kind_priority(e->kind), event_kind_message_id(e->kind),
			p->settings->name, e->generation, e->words);
	}
}
