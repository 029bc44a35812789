/*
 * errors.h - the last refusals and faults as lines for people: what control/errors reads.
 *
 * A refusal is what somebody asked for and did not get; anybody can cause as many as he likes. A
 * fault is what the store has to say of itself and of its disk. Each has a bound of its own, so
 * that refusals push no fault out; and within each the lines of who has most of them make room for
 * new ones, so that one user's push out nobody else's.
 *
 * They are the mount's own and those of its store, which hands its lines over as they come,
 * so that there is one order. Any thread may call these; they wait for nothing.
 */
#ifndef ERRORS_H
#define ERRORS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define ERRORS_LINES 256u /* of each: DESIGN section 2.2, control/errors */
#define ERRORS_LINE_BYTES 512u /* a longer line is cut */
#define ERRORS_HELD_MAX 16u /* as many threads may be amid putting something right */

struct errors;

/* What becomes of a line beside being kept: `uid` is whose request it came of (caller.h). */
typedef void errors_sink(const char *line, bool fault, uid_t uid);

/* `sink`, if not NULL, is called by the thread that a line comes from; of a fault that is
 * reported again and again once a minute. -ENOMEM. */
int errors_new(errors_sink *sink, struct errors **errors);
void errors_free(struct errors *errors); /* NULL is allowed */

/* Add a refusal, led by the UTC time ("2026-01-31T12:00:00Z "). */
void errors_addv(struct errors *errors, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
/* Add a fault, a line of the store's with such a time, as it is. One that says what a line
 * before did takes its place. For on_report: `arg` is the struct errors. */
void errors_from_store(void *arg, const char *line);

/*
 * The same for what `user`, a thread, may still put right: a line about `key` that is told when
 * somebody looks at the lines or their number, when another is held a second later, or, of more
 * than ERRORS_HELD_MAX, the oldest. Until then errors_take_back takes it away.
 */
void errors_hold(struct errors *errors, uint64_t key, pid_t user, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void errors_take_back(struct errors *errors, uint64_t key, pid_t user);

/* Print all lines, oldest first, '?' for what does not print. */
void errors_show(struct errors *errors, FILE *out);
void errors_clear(struct errors *errors);
/* Lines ever added. */
uint64_t errors_total(struct errors *errors);
/* Of these the faults. */
uint64_t errors_faults(struct errors *errors);

#endif
