/* The clocks of the machine that the broker runs on, and what may happen to them. */
#ifndef GCTOKEND_TESTS_SIM_MACHINE_H
#define GCTOKEND_TESTS_SIM_MACHINE_H

#include "core/random.h"
#include "sim.h"

struct machine_settings {
	struct duration wall_ahead; /* of the true time of day, at the start */
	int drift_ppm;              /* of the crystal: at most this, either way, by the seed */
};

enum machine_state {
	MACHINE_RUNS,
	MACHINE_SUSPENDED, /* BOOTTIME and REALTIME go on, by the battery's clock */
	MACHINE_PAUSED,    /* a hypervisor holds it: its clocks all stop */
};

struct machine {
	struct sim *sim;
	/* The clocks at `as_of`; they have run evenly since. */
	struct true_time as_of;
	struct boot_time boot;
	struct duration raw, mono;
	struct duration wall_offset; /* REALTIME - BOOTTIME */
	int64_t drift_ppm, slew_ppm;
	enum machine_state state;
	/* What a timerfd with TFD_TIMER_CANCEL_ON_SET tells: REALTIME was set, or the machine was
	 * resumed. */
	void (*clock_set)(void *context);
	void *clock_set_context;
};

/* Within +-`most`; half of the time exactly at an end, where bugs are. */
int64_t machine_some_ppm(struct random *random, int most);

/* `time_of_day`: nanoseconds since 1970 at the start of the run. */
void machine_init(struct machine *m, struct sim *sim, const struct machine_settings *settings,
	int64_t time_of_day, struct random *random);
struct clock_reading machine_read(const struct machine *m);
/* When BOOTTIME will show `boot` if nothing happens to the clocks until then; look again at that
 * time. */
struct true_time machine_when(const struct machine *m, struct boot_time boot);

void machine_step_wall(struct machine *m, struct duration by);
/* NTP bends the clock by so much from now on; 0 ends it. */
void machine_slew(struct machine *m, int64_t ppm);
void machine_suspend(struct machine *m, struct duration length);
void machine_pause(struct machine *m, struct duration length);

#endif
