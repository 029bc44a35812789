#include "engine/rados/pause.h"

#include <errno.h>
#include <time.h>

#include "engine/base/latency.h"
#include "engine/rados/flight.h"

#define FIRST_NS (UINT64_C(1) * 1000000)
#define DOUBLINGS_MAX 6u /* 64 ms, of which half is taken on average */

int pause_take(struct pause *pause)
{
	unsigned doublings = pause->taken < DOUBLINGS_MAX ? pause->taken : DOUBLINGS_MAX;
	struct timespec wait;

	if (pause->taken++ == 0)
		return 0;
	if (pause->taken > PAUSES_MAX)
		return -EBUSY;
	if (flight_is_stopped())
		return -EINTR;
	/* xorshift: two clients that met once must not meet again for ever. */
	if (pause->random == 0)
		pause->random = clock_monotonic_ns() ^ (uint64_t)(uintptr_t)pause;
	pause->random ^= pause->random << 13;
	pause->random ^= pause->random >> 7;
	pause->random ^= pause->random << 17;
	wait = clock_timespec(pause->random % (FIRST_NS << doublings));
	(void)nanosleep(&wait, NULL); /* shorter is as good */
	return 0;
}
