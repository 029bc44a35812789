/* errors.c - the last refusals and faults as lines for people. */
#include "fs/base/errors.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/codec/printable.h"
#include "fs/base/caller.h"
#include "fs/base/clock.h"
#include "fs/base/printable.h"

/* "2026-01-31T12:00:00Z ", which two lines that say the same differ in. */
#define STAMP_BYTES 21u
/* A fault that is met again is told to the log when so much time has gone by. */
#define TELL_AGAIN_NS (INT64_C(60) * 1000000000)
/* Who has not put it right by then will not. */
#define HELD_NS INT64_C(1000000000)

/* Places are filled one by one; once all are, one is taken over. */
struct lines {
	char *text[ERRORS_LINES]; /* NULL for want of memory, too */
	uint64_t order[ERRORS_LINES]; /* greater: newer */
	uid_t uid[ERRORS_LINES];
	int64_t told_ns[ERRORS_LINES]; /* to the sink; of faults */
	unsigned count;
};

/* A refusal that may be taken back. */
struct held {
	char *text; /* NULL: none */
	uint64_t key;
	pid_t user;
	uid_t uid;
	int64_t since_ns;
};

struct errors {
	pthread_mutex_t lock;
	struct held held[ERRORS_HELD_MAX]; /* lock */
	_Atomic unsigned held_count; /* changed with the lock */
	struct lines refusals; /* lock */
	struct lines faults; /* lock */
	uint64_t total; /* lock; ever added, which is the order of the next */
	uint64_t fault_total; /* lock; of these the faults */
	errors_sink *sink; /* constant */
};

int errors_new(errors_sink *sink, struct errors **errors)
{
	struct errors *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&e->lock, NULL); /* cannot fail with default attributes */
	e->sink = sink;
	*errors = e;
	return 0;
}

void errors_free(struct errors *errors)
{
	if (errors == NULL)
		return;
	errors_clear(errors);
	pthread_mutex_destroy(&errors->lock);
	free(errors);
}

/* How many of the lines are of this user. */
static unsigned lines_of(const struct lines *lines, uid_t uid)
{
	unsigned count = 0;

	for (unsigned i = 0; i < lines->count; i++)
		count += lines->uid[i] == uid;
	return count;
}

/* The place for a line of `uid`: a free one, or that of the oldest line of who has most, the new
 * one counted in. */
static unsigned place_for(struct lines *lines, uid_t uid)
{
	unsigned best = 0, most = 0;

	if (lines->count < ERRORS_LINES)
		return lines->count++;
	for (unsigned i = 0; i < lines->count; i++) {
		unsigned count = lines_of(lines, lines->uid[i]) + (lines->uid[i] == uid);

		if (count > most || (count == most && lines->order[i] < lines->order[best])) {
			best = i;
			most = count;
		}
	}
	return best;
}

/* The place of a line that says the same, or ERRORS_LINES. */
static unsigned place_of_same(const struct lines *lines, const char *line)
{
	unsigned i;

	if (strlen(line) < STAMP_BYTES)
		return ERRORS_LINES;
	for (i = 0; i < lines->count; i++) {
		if (lines->text[i] != NULL && strlen(lines->text[i]) >= STAMP_BYTES &&
		    strcmp(lines->text[i] + STAMP_BYTES, line + STAMP_BYTES) == 0)
			return i;
	}
	return ERRORS_LINES;
}

/* Put a line of `uid` there. The lock is held. */
static void put(struct errors *errors, struct lines *lines, unsigned place, uid_t uid,
                const char *line)
{
	free(lines->text[place]);
	lines->text[place] = strdup(line); /* without memory the line is for the sink alone */
	lines->order[place] = errors->total++;
	lines->uid[place] = uid;
}

void errors_from_store(void *arg, const char *line)
{
	struct errors *errors = arg;
	struct lines *faults = &errors->faults;
	int64_t now = clock_steady_ns();
	unsigned place;
	bool again, tell;

	pthread_mutex_lock(&errors->lock);
	place = place_of_same(faults, line);
	again = place < ERRORS_LINES;
	if (!again)
		place = place_for(faults, caller_uid);
	put(errors, faults, place, caller_uid, line);
	errors->fault_total++;
	tell = !again || now - faults->told_ns[place] >= TELL_AGAIN_NS;
	if (tell)
		faults->told_ns[place] = now;
	pthread_mutex_unlock(&errors->lock);
	if (errors->sink != NULL && tell)
		errors->sink(line, true, caller_uid);
}

/* The time and what is to be said, as a line. */
__attribute__((format(printf, 2, 0))) static void format_line(char line[ERRORS_LINE_BYTES],
                                                              const char *format, va_list args)
{
	time_t now = time(NULL);
	struct tm utc;
	size_t length = 0;

	if (gmtime_r(&now, &utc) != NULL)
		length = strftime(line, ERRORS_LINE_BYTES, "%Y-%m-%dT%H:%M:%SZ ", &utc);
	if (vsnprintf(line + length, ERRORS_LINE_BYTES - length, format, args) < 0)
		line[length] = '\0';
	/* A file name in the message must not look like a line of ours. */
	printable_clean(line);
}

/* Add a refusal of `uid`. */
static void add_refusal(struct errors *errors, uid_t uid, const char *line)
{
	pthread_mutex_lock(&errors->lock);
	put(errors, &errors->refusals, place_for(&errors->refusals, uid), uid, line);
	pthread_mutex_unlock(&errors->lock);
	if (errors->sink != NULL)
		errors->sink(line, false, uid);
}

void errors_addv(struct errors *errors, const char *format, va_list args)
{
	char line[ERRORS_LINE_BYTES];

	format_line(line, format, args);
	add_refusal(errors, caller_uid, line);
}

/* Take the oldest of what is held out of there, its line the caller's to free; false where it is
 * younger than `age_ns` or there is none. */
static bool take_oldest(struct errors *errors, int64_t age_ns, struct held *oldest)
{
	int64_t now = clock_steady_ns();
	struct held *found = NULL;

	pthread_mutex_lock(&errors->lock);
	for (unsigned i = 0; i < ERRORS_HELD_MAX; i++) {
		struct held *held = &errors->held[i];

		if (held->text != NULL && (found == NULL || held->since_ns < found->since_ns))
			found = held;
	}
	if (found != NULL && now - found->since_ns >= age_ns) {
		*oldest = *found;
		found->text = NULL;
		atomic_fetch_sub(&errors->held_count, 1);
	} else {
		found = NULL;
	}
	pthread_mutex_unlock(&errors->lock);
	return found != NULL;
}

/* Tell what has been held for so long. */
static void tell_held(struct errors *errors, int64_t age_ns)
{
	struct held held;

	while (atomic_load(&errors->held_count) > 0 && take_oldest(errors, age_ns, &held)) {
		add_refusal(errors, held.uid, held.text);
		free(held.text);
	}
}

/* Whether there was a place for it. */
static bool hold(struct errors *errors, const struct held *held)
{
	unsigned i = 0;

	pthread_mutex_lock(&errors->lock);
	while (i < ERRORS_HELD_MAX && errors->held[i].text != NULL)
		i++;
	if (i < ERRORS_HELD_MAX) {
		errors->held[i] = *held;
		atomic_fetch_add(&errors->held_count, 1);
	}
	pthread_mutex_unlock(&errors->lock);
	return i < ERRORS_HELD_MAX;
}

void errors_hold(struct errors *errors, uint64_t key, pid_t user, const char *format, ...)
{
	char line[ERRORS_LINE_BYTES];
	struct held held = {
		.key = key,
		.user = user,
		.uid = caller_uid,
		.since_ns = clock_steady_ns(),
	}, oldest;
	va_list args;

	va_start(args, format);
	format_line(line, format, args);
	va_end(args);
	held.text = strdup(line);
	tell_held(errors, HELD_NS);
	while (held.text != NULL && !hold(errors, &held)) {
		if (!take_oldest(errors, 0, &oldest))
			continue;
		add_refusal(errors, oldest.uid, oldest.text);
		free(oldest.text);
	}
	if (held.text == NULL)
		add_refusal(errors, caller_uid, line);
}

void errors_take_back(struct errors *errors, uint64_t key, pid_t user)
{
	if (atomic_load(&errors->held_count) == 0)
		return;
	pthread_mutex_lock(&errors->lock);
	for (unsigned i = 0; i < ERRORS_HELD_MAX; i++) {
		struct held *held = &errors->held[i];

		if (held->text == NULL || held->key != key || held->user != user)
			continue;
		free(held->text);
		held->text = NULL;
		atomic_fetch_sub(&errors->held_count, 1);
	}
	pthread_mutex_unlock(&errors->lock);
}

/* A line, and its place in the order. */
struct shown {
	uint64_t order;
	const char *text;
};

static unsigned collect(const struct lines *lines, struct shown *shown)
{
	unsigned count = 0;

	for (unsigned i = 0; i < lines->count; i++) {
		if (lines->text[i] != NULL)
			shown[count++] = (struct shown){ lines->order[i], lines->text[i] };
	}
	return count;
}

static int compare_order(const void *left, const void *right)
{
	const struct shown *a = left, *b = right;

	return a->order < b->order ? -1 : a->order > b->order;
}

void errors_show(struct errors *errors, FILE *out)
{
	struct shown shown[2 * ERRORS_LINES];
	unsigned count;

	tell_held(errors, 0);
	pthread_mutex_lock(&errors->lock);
	count = collect(&errors->refusals, shown);
	count += collect(&errors->faults, shown + count);
	qsort(shown, count, sizeof(shown[0]), compare_order);
	for (unsigned i = 0; i < count; i++) {
		/* A name or a path in a message may hold anything. */
		for (const char *c = shown[i].text; *c != '\0'; c++)
			fputc(is_printable(*c) ? *c : '?', out);
		fputc('\n', out);
	}
	pthread_mutex_unlock(&errors->lock);
}

static void clear(struct lines *lines)
{
	for (unsigned i = 0; i < lines->count; i++) {
		free(lines->text[i]);
		lines->text[i] = NULL;
	}
	lines->count = 0;
}

void errors_clear(struct errors *errors)
{
	tell_held(errors, 0); /* so that it is counted */
	pthread_mutex_lock(&errors->lock);
	clear(&errors->refusals);
	clear(&errors->faults);
	pthread_mutex_unlock(&errors->lock);
}

uint64_t errors_total(struct errors *errors)
{
	uint64_t total;

	tell_held(errors, 0);
	pthread_mutex_lock(&errors->lock);
	total = errors->total;
	pthread_mutex_unlock(&errors->lock);
	return total;
}

uint64_t errors_faults(struct errors *errors)
{
	uint64_t faults;

	pthread_mutex_lock(&errors->lock);
	faults = errors->fault_total;
	pthread_mutex_unlock(&errors->lock);
	return faults;
}
