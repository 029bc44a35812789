/*
 * progress.h - a bar on the terminal while something takes long.
 *
 * It is drawn on stderr and only where that is a terminal that can draw over a line (TERM is not
 * "dumb"), and never wider than that; every function does nothing elsewhere. One bar at a time, one thread at a time.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown; /* stderr is such a terminal */
	const char *label;
	const char *unit; /* of the rate, "vectors"; NULL: no rate is shown */
	uint64_t total; /* 0: not known, no bar is drawn; may be changed meanwhile */
	uint64_t first; /* done when it started */
	int64_t started_ns;
	int64_t drawn_ns;
};

/* Begin a bar for `total` steps, of which `first` are done. Keeps the strings. */
void progress_start(struct progress *progress, const char *label, const char *unit, uint64_t first,
                    uint64_t total);

/* `done` of the steps are done. Draws at most ten times a second. */
void progress_update(struct progress *progress, uint64_t done);

/* Take the bar off the screen; the next update draws it again. Any thread; what say.h
 * prints does it by itself. */
void progress_clear(void);

/* The work is done: take the bar off the screen. */
void progress_end(struct progress *progress);

#endif
