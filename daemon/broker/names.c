#include "names.h"

#include "broker.h"
#include "pages.h"
#include "profile_type.h"

#include "host/config_files.h"
#include "host/log.h"
#include "host/name_table.h"

#include <event2/event.h>
#include <string.h>

#define LOOK_AGAIN_S 60

/* Where the rules name nobody there is nothing to look up. */
static void arm(struct broker *b)
{
	const struct timeval tv = {.tv_sec = LOOK_AGAIN_S};

	if (name_table_empty(b->names.table)) {
		event_del(&b->names.minute);
		return;
	}
	if (evtimer_add(&b->names.minute, &tv))
		log_line(LOG_ERR, "the timer for looking up users and groups cannot be armed");
}

static void look_again(int fd, short events, void *context)
{
	struct broker *b = context;

	(void)fd;
	(void)events;
	name_table_look(b->names.table);
	arm(b);
}

void names_init(struct broker *b, struct name_table *table)
{
	b->names.table = table;
	evtimer_assign(&b->names.minute, b->base, look_again, b);
}

void names_fini(struct broker *b)
{
	if (event_initialized(&b->names.minute))
		event_del(&b->names.minute);
	name_table_free(b->names.table);
	b->names.table = NULL;
}

/* The rules get the answers. True if that changed one of them. */
static bool take(struct broker *b, struct config_unknown *ret_before)
{
	*ret_before = b->names.unknown;
	return config_take_names(b->config, b->names.table, &b->names.unknown);
}

void names_started(struct broker *b)
{
	struct config_unknown before;

	take(b, &before); /* who was missing has been told of with the configuration */
	arm(b);
}

void names_apply(struct broker *b)
{
	const struct config_unknown *unknown = &b->names.unknown;
	struct config_unknown before;
	bool changed = take(b, &before);

	if (strcmp(unknown->text, before.text) != 0) {
		if (unknown->count)
			log_line(LOG_WARNING,
				"rules name users or groups that the system does not know; nothing "
				"is granted to them until it does: %s",
				unknown->text);
		else
			log_line(LOG_NOTICE, "the users and groups in the rules are all known");
	}
	for (size_t i = 0; changed && i < b->profiles.count; i++)
		pages_check_rules(b->profiles.items[i], &b->profiles.items[i]->settings->allow);
}

void names_reloaded(struct broker *b)
{
	name_table_unmark(b->names.table);
	names_apply(b);
	name_table_sweep(b->names.table);
	arm(b);
}
