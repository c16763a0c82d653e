/* The worlds whose figures are published. Callers neither reject a token that the API refuses nor
 * keep one, so that only the policy counts, for the broker and the baseline alike. */
#include "reach.h"
#include "scenario_parts.h"

#define ANY UINT32_MAX
#define ANYTHING \
	.expect = {.posts_max = ANY, \
		.waited_max = ANY, \
		.errors_max = ANY, \
		.blind_max = ANY, \
		.overtaken_max = ANY, \
		.cold_max = ANY, \
		.covered_percent = 1}
#define SILENT .load = {.silent = true}
#define THRICE .within_s = 3 * HOUR, .times = 3, .every_s = 3 * HOUR + 1800

const struct reach_row reach_rows[] = {
	{
		.name = "nothing happens",
		.promised = true,
		.scenario = {.hours = 12,
			USUAL_CLOCKS,
			USUAL_BROKER,
			SILENT,
			.server = {USUAL_SERVER, .lifetime_s = 300},
			ANYTHING},
	},
	{
		.name = "our clock off by up to 120 s",
		.promised = true,
		.off_by_s = 120,
		.scenario = {.hours = 12,
			USUAL_CLOCKS,
			USUAL_BROKER,
			SILENT,
			.server = {USUAL_SERVER, .lifetime_s = 300, .jwt = true},
			ANYTHING},
	},
	{
		.name = "our clock set back by 120 s, 3 times",
		.promised = true,
		.scenario = {.hours = 12,
			USUAL_CLOCKS,
			USUAL_BROKER,
			SILENT,
			.server = {USUAL_SERVER, .lifetime_s = 300, .jwt = true},
			.happenings = {{HAPPENS_WALL_STEP, .at_s = HOUR, .by = -120000, THRICE}},
			ANYTHING},
	},
	{
		.name = "JWT iat backdated by 300 s",
		.promised = true,
		.scenario = {.hours = 12,
			USUAL_CLOCKS,
			USUAL_BROKER,
			SILENT,
			.server = {USUAL_SERVER, .lifetime_s = 300, .jwt = true,
				.iat_ahead = S(-300)},
			ANYTHING},
	},
	{
		.name = "suspended for 40 min, 3 times",
		.promised = true,
		.scenario = {.hours = 12,
			USUAL_CLOCKS,
			USUAL_BROKER,
			SILENT,
			.server = {USUAL_SERVER, .lifetime_s = 3600},
			.happenings = {{HAPPENS_SUSPEND, .at_s = HOUR, .by = 2400000, THRICE}},
			ANYTHING},
	},
	{
		.name = "answers take 12 to 15 s",
		.promised = true,
		.scenario = {.hours = 12,
			USUAL_CLOCKS,
			SILENT,
			.server = {.drift_ppm = 45,
				USUAL_NETWORK,
				.thinks = S(12),
				.minted_before = S(12),
				.lifetime_s = 300},
			.driver = {.source = {USUAL_SOURCE, .prefetch = true},
				.fetch_timeout = S(30)},
			/* at a cold start nobody waits for so long */
			.happenings = {{HAPPENS_REST, .by = 1}, {HAPPENS_REST, .at_s = 30}},
			ANYTHING},
	},
	{
		.name = "three clocks, 2 s apart",
		.promised = true,
		.scenario = {.hours = 12,
			USUAL_CLOCKS,
			USUAL_BROKER,
			SILENT,
			.server = {USUAL_SERVER, .lifetime_s = 300, .clocks = 3,
				.clocks_apart = S(2)},
			ANYTHING},
	},
	{
		.name = "server's clock set +30 s, 3 times",
		.scenario = {.hours = 12,
			USUAL_CLOCKS,
			USUAL_BROKER,
			SILENT,
			.server = {USUAL_SERVER, .lifetime_s = 300, .jwt = true},
			.happenings = {{HAPPENS_SERVER_STEP, .at_s = HOUR, .by = 30000, THRICE}},
			ANYTHING},
	},
	{
		.name = "server's clock set -45 s, 3 times",
		.scenario = {.hours = 12,
			USUAL_CLOCKS,
			USUAL_BROKER,
			SILENT,
			.server = {USUAL_SERVER, .lifetime_s = 300, .jwt = true},
			.happenings = {{HAPPENS_SERVER_STEP, .at_s = HOUR, .by = -45000, THRICE}},
			ANYTHING},
	},
	{
		.name = "VM held for 40 s, 3 times",
		.scenario = {.hours = 12,
			USUAL_CLOCKS,
			USUAL_BROKER,
			SILENT,
			.server = {USUAL_SERVER, .lifetime_s = 300},
			.happenings = {{HAPPENS_PAUSE, .at_s = HOUR, .by = 40000, THRICE}},
			ANYTHING},
	},
};
const size_t reach_row_count = sizeof(reach_rows) / sizeof(*reach_rows);

/* Short tokens, so that a dozen exchanges pass in minutes. */
const struct reach_network reach_networks[] = {
	{
		.name = "1 ms",
		.key = "lan",
		.scenario = {.hours = 1,
			USUAL_CLOCKS,
			USUAL_BROKER,
			.server = {.drift_ppm = 45,
				.latency = {400000},
				.jitter = {200000},
				.thinks = MS(1),
				.lifetime_s = 60,
				.jwt = true},
			ANYTHING},
	},
	{
		.name = "40 ms, one in 32 up to 0.4 s longer",
		.key = "wan",
		.near_ms_at_8 = 20,
		.scenario = {.hours = 1,
			USUAL_CLOCKS,
			USUAL_BROKER,
			.server = {.drift_ppm = 45,
				.latency = MS(17),
				.jitter = MS(5),
				.thinks = MS(1),
				.lifetime_s = 60,
				.jwt = true},
			ANYTHING},
	},
	{
		.name = "300 ms, 50 there and 250 back",
		.key = "far",
		.scenario = {.hours = 1,
			USUAL_CLOCKS,
			USUAL_BROKER,
			.server = {.drift_ppm = 45,
				.latency = MS(45),
				.jitter = MS(10),
				.slower_back = MS(200),
				.thinks = MS(1),
				.lifetime_s = 60,
				.jwt = true},
			ANYTHING},
	},
};
const size_t reach_network_count = sizeof(reach_networks) / sizeof(*reach_networks);

const struct scenario reach_plain = {
	.name = "plain", USUAL_CLOCKS, USUAL_BROKER, .server = {USUAL_SERVER}, ANYTHING};

const struct scenario reach_look = {.name = "look",
	USUAL_CLOCKS,
	USUAL_BROKER,
	SILENT,
	.server = {.drift_ppm = 45, .latency = MS(17), .jitter = MS(5), .thinks = MS(1)},
	ANYTHING};

const struct scenario reach_step = {.name = "step",
	USUAL_CLOCKS,
	USUAL_BROKER,
	SILENT,
	.server = {USUAL_SERVER},
	.happenings = {{.kind = HAPPENS_SERVER_STEP}},
	ANYTHING};
