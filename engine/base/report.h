/*
 * report.h - the last 256 refusals and faults, as lines for people.
 */
#ifndef QUIVER_REPORT_H
#define QUIVER_REPORT_H

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define REPORT_LINES 256 /* DESIGN section 2.2, control/errors */
#define REPORT_LINE_BYTES 512 /* a longer line is cut */

struct report {
	pthread_mutex_t lock;
	char (*lines)[REPORT_LINE_BYTES]; /* lock; a ring */
	size_t first; /* lock */
	size_t count; /* lock */
	uint64_t total; /* lock; lines ever added */
	void (*sink)(void *arg, const char *line); /* set once */
	void *sink_arg;
	void (*note_sink)(void *arg,
	                  const char *line); /* set once, before a line is added; or NULL */
};

/* 0 or -ENOMEM. */
int report_init(struct report *report, void (*sink)(void *arg, const char *line), void *arg);
void report_destroy(struct report *report);
/* Add a line, led by the UTC time ("2026-01-31T12:00:00Z "), and call the sink
 * (without the report's lock). Any thread. */
void report_addv(struct report *report, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
void report_add(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Give a line of no fault, led by the time as well, to the sink of notes alone. Any thread. */
void report_note(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* All lines, oldest first, each with a newline; malloc'd, NUL-terminated, the
 * caller frees. -ENOMEM. Any thread. */
int report_text(struct report *report, char **text, size_t *length);
/* Add lines that another report had, as its report_text gave them. The sink knows them. Any thread. */
void report_keep(struct report *report, const char *text);
void report_clear(struct report *report);
uint64_t report_total(struct report *report);

#endif
