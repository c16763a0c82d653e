/* An ask may start a fetch, be counted, or wait; a reader can do none of these. So the time for
 * which a reader is told anything ends where an ask would. */
#include "token_page.h"

#include "token_judge.h"
#include "token_source.h"

/* Nothing to tell: asking finds out. */
static const struct source_page ask_page = {.slot = NULL};

static struct boot_time stale_from(const struct token_source *s, const struct token_slot *slot)
{
	if (slot != &s->current)
		return BOOT_TIME_NEVER;
	if (s->failures)
		return s->refresh_at;
	if (!s->settings.prefetch)
		return BOOT_TIME_NEVER;
	return boot_add(s->refresh_at, duration_ns(SOURCE_OVERDUE_S * NS_PER_S + 1));
}

void token_source_page(
	const struct token_source *s, const struct clock_reading *now, struct source_page *ret)
{
	const struct token_slot *slot = token_source_pick(s, now, 0);
	struct duration suspect;
	struct source_page page;

	if (!slot || slot->rejected) {
		*ret = ask_page;
		return;
	}
	suspect = lifetime_suspect(&slot->life, now);
	page = (struct source_page){
		.slot = slot,
		.dead = boot_sub(lifetime_dead(&slot->life), suspect),
		.until = token_source_next_change(s, now),
		.stale_from = stale_from(s, slot),
		.min_ttl_limit_s =
			s->current.token.text ? token_source_min_ttl_limit_s(&s->current) : 0,
	};
	/* In its last second, less what is in doubt, it is not served. */
	page.until = boot_min(page.until, boot_sub(page.dead, duration_ns(NS_PER_S - 1)));
	/* Without prefetch only asking brings the next token. */
	if (slot == &s->current && !s->settings.prefetch)
		page.until = boot_min(page.until, s->refresh_at);
	*ret = boot_before(now->boot, page.until) ? page : ask_page;
}
