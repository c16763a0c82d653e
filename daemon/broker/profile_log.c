#include "profile_log.h"

#include "profile_type.h"

#include "host/log.h"

#include <stdio.h>

/* A line for one that goes on says for how often. */
static void log_one(const struct profile *p, const struct history_event *e)
{
	char words[HISTORY_WORDS + 32];

	snprintf(words, sizeof(words), "%s (%u times)", e->words, (unsigned)e->times);
	log_event(event_kind_priority(e->kind), event_kind_message_id(e->kind), p->settings->name,
		e->generation, e->times > 1 ? words : e->words);
}

void profile_log(struct profile *p)
{
	const struct history_event *all[HISTORY_ALL];
	const struct history *h = &p->history;
	size_t count;

	if (p->logged >= h->log_order)
		return;
	count = history_all(h, all);
	for (size_t i = 0; i < count; i++)
		if (all[i]->log_order > p->logged)
			log_one(p, all[i]);
	p->logged = h->log_order;
}
