/*
 * errors.h - the last refusals and faults as lines for people: what control/errors reads.
 *
 * They are the mount's own and those of its store, which hands its lines over as they come,
 * so that there is one order. Any thread may call these; they wait for nothing.
 */
#ifndef ERRORS_H
#define ERRORS_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#define ERRORS_LINES 256u /* DESIGN section 2.2, control/errors */
#define ERRORS_LINE_BYTES 512u /* a longer line is cut */

struct errors;

/* `sink`, if not NULL, is called for every line, by the thread that it comes from. -ENOMEM. */
int errors_new(void (*sink)(const char *line), struct errors **errors);
void errors_free(struct errors *errors); /* NULL is allowed */

/* Add a line, led by the UTC time ("2026-01-31T12:00:00Z "). */
void errors_addv(struct errors *errors, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
/* Add a line of the store's as it is. For on_report: `arg` is the struct errors. */
void errors_from_store(void *arg, const char *line);

/* Print all lines, oldest first, '?' for what does not print. */
void errors_show(struct errors *errors, FILE *out);
void errors_clear(struct errors *errors);
/* Lines ever added. */
uint64_t errors_total(struct errors *errors);

#endif
