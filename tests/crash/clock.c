#include "clock.h"

#define SECOND_NS INT64_C(1000000000)
#define DAY_NS (86400 * SECOND_NS)
#define START_NS (1700000000 * SECOND_NS)
#define LAST_SECONDS_NS (20 * SECOND_NS)

static _Atomic int64_t shown = START_NS;

/* In the place of clock_realtime_ns in engine/base/latency.c. */
int64_t __wrap_clock_realtime_ns(void);

int64_t __wrap_clock_realtime_ns(void)
{
	return shown;
}

int64_t clock_now(void)
{
	return shown;
}

void clock_set(int64_t ns)
{
	shown = ns;
}

void clock_start(struct chance *chance)
{
	shown = chance_percent(chance, 5) ? INT64_MAX - LAST_SECONDS_NS : START_NS;
}

void clock_step(struct chance *chance)
{
	unsigned way = (unsigned)chance_below(chance, 100);
	int64_t ns = 0;

	if (way < 40)
		ns = 1 + (int64_t)chance_below(chance, 20);
	else if (way < 70)
		ns = (int64_t)chance_below(chance, 3 * SECOND_NS);
	else if (way < 80)
		ns = -(int64_t)chance_below(chance, way < 75 ? 100 : DAY_NS);
	shown = ns > INT64_MAX - shown ? INT64_MAX : shown + ns;
}
