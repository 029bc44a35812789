/*
 * pulse.c - having the service manager wait for what takes long while nobody is served.
 */
#include "fs/daemon/pulse.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <time.h>

#include "engine/quiver.h"
#include "fs/base/clock.h"
#include "fs/daemon/log.h"
#include "fs/daemon/notify.h"

#define NS_PER_MS INT64_C(1000000)
/* How often, where no watchdog wants it more often; and how often at most before that is there. */
#define PULSE_MS 10000u
#define PULSE_OPENING_MS_MIN 100u
#define WATCHDOG_SHARE 3u
/* The time that is asked for each time: several pulses may be late. */
#define EXTEND_US (UINT32_C(60) * 1000000)
/* One call that waits for a disk: a sync of much, on a slow one. */
#define STALL_NS (INT64_C(120) * 1000 * NS_PER_MS)
/* Such a thread needs little. */
#define STACK_BYTES (1u << 18)

static struct {
	pthread_mutex_t lock;
	pthread_cond_t end; /* `ending` was set; by the monotonic clock */
	bool ending; /* lock */
	enum pulse_phase phase; /* constant while the thread runs */
	bool runs; /* of who calls pulse_start and pulse_stop, in turn */
	pthread_t thread; /* likewise */
} pulse = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts); /* cannot fail with such a clock */
	return (int64_t)ts.tv_sec * CLOCK_NS_PER_S + ts.tv_nsec;
}

/* A number that stays only where the other threads get nowhere. */
static int64_t work_done(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) < 0)
		return 0;
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) - clock_ns(CLOCK_THREAD_CPUTIME_ID) +
	       usage.ru_majflt + usage.ru_inblock + usage.ru_oublock;
}

static unsigned pause_ms(void)
{
	unsigned wanted = notify_watchdog_ms() / WATCHDOG_SHARE;

	if (wanted == 0 || wanted > PULSE_MS)
		wanted = PULSE_MS;
	return pulse.phase == PULSE_OPENING && wanted < PULSE_OPENING_MS_MIN ? PULSE_OPENING_MS_MIN
	                                                                     : wanted;
}

/* Wait until the next pulse is due. False at the end. */
static bool wait_for_next(void)
{
	int64_t until_ns = clock_steady_ns() + pause_ms() * NS_PER_MS;
	struct timespec until = { .tv_sec = until_ns / CLOCK_NS_PER_S,
		                  .tv_nsec = until_ns % CLOCK_NS_PER_S };
	bool ending;
	int err = 0;

	pthread_mutex_lock(&pulse.lock);
	while (err == 0 && !pulse.ending)
		err = pthread_cond_timedwait(&pulse.end, &pulse.lock, &until);
	ending = pulse.ending;
	pthread_mutex_unlock(&pulse.lock);
	return !ending;
}

static void *run(void *arg)
{
	int64_t done = work_done(), moved_ns = clock_steady_ns();

	(void)arg;
	(void)pthread_setname_np(pthread_self(), "quiverfs-pulse"); /* for people only */
	while (wait_for_next()) {
		int64_t now_done = work_done(), now_ns = clock_steady_ns();

		if (now_done != done)
			moved_ns = now_ns;
		done = now_done;
		if (now_ns - moved_ns < STALL_NS)
			notify_say("EXTEND_TIMEOUT_USEC=%" PRIu32 "%s", EXTEND_US,
			           pulse.phase == PULSE_CLOSING ? "\nWATCHDOG=1" : "");
	}
	return NULL;
}

static int start_thread(void)
{
	pthread_condattr_t clock;
	pthread_attr_t attr;
	int err = pthread_condattr_init(&clock);

	if (err != 0)
		return -err;
	(void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC); /* it is one that is allowed */
	err = pthread_cond_init(&pulse.end, &clock);
	(void)pthread_condattr_destroy(&clock); /* always 0 */
	if (err == 0)
		err = pthread_attr_init(&attr);
	if (err != 0)
		return -err;
	err = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (err == 0)
		err = pthread_create(&pulse.thread, &attr, run, NULL);
	(void)pthread_attr_destroy(&attr); /* always 0 */
	return -err;
}

void pulse_start(enum pulse_phase phase)
{
	int err;

	if (!notify_is_heard() || pulse.runs)
		return;
	pulse.phase = phase;
	pulse.ending = false;
	err = start_thread();
	pulse.runs = err == 0;
	if (err != 0)
		log_line(LOG_WARNING, "the service manager is not asked for more time: %s",
		         quiver_strerror(err));
}

void pulse_stop(void)
{
	if (!pulse.runs)
		return;
	pthread_mutex_lock(&pulse.lock);
	pulse.ending = true;
	(void)pthread_cond_signal(&pulse.end); /* always 0 */
	pthread_mutex_unlock(&pulse.lock);
	(void)pthread_join(pulse.thread, NULL); /* it ends by itself */
	(void)pthread_cond_destroy(&pulse.end); /* nobody waits for it */
	pulse.runs = false;
}
