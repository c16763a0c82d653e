#include "scenarios.h"

static const struct scenario_table *const tables[] = {&scenarios_days, &scenarios_clock,
	&scenarios_server, &scenarios_trouble, &scenarios_rejections, NULL};

const struct scenario *scenario_get(size_t index)
{
	for (size_t i = 0; tables[i]; i++) {
		if (index < tables[i]->count)
			return &tables[i]->entries[index];
		index -= tables[i]->count;
	}
	return NULL;
}
