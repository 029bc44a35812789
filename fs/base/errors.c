/* errors.c - the last refusals and faults as lines for people. */
#include "fs/base/errors.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/base/printable.h"

struct errors {
	pthread_mutex_t lock;
	char *lines[ERRORS_LINES]; /* lock; that of number n at n % ERRORS_LINES, or NULL */
	_Atomic uint64_t total; /* changed under the lock */
	void (*sink)(const char *line); /* constant */
};

int errors_new(void (*sink)(const char *line), struct errors **errors)
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

void errors_from_store(void *arg, const char *line)
{
	struct errors *errors = arg;
	char *copy = strdup(line); /* without memory the line is for the sink alone */
	char **place;

	pthread_mutex_lock(&errors->lock);
	place = &errors->lines[errors->total++ % ERRORS_LINES];
	free(*place);
	*place = copy;
	pthread_mutex_unlock(&errors->lock);
	if (errors->sink != NULL)
		errors->sink(line);
}

void errors_addv(struct errors *errors, const char *format, va_list args)
{
	char line[ERRORS_LINE_BYTES];
	time_t now = time(NULL);
	struct tm utc;
	size_t length = 0;

	if (gmtime_r(&now, &utc) != NULL)
		length = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%SZ ", &utc);
	if (vsnprintf(line + length, sizeof(line) - length, format, args) < 0)
		line[length] = '\0';
	/* A file name in the message must not look like a line of ours. */
	for (char *c = line; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x80 && !is_printable(*c))
			*c = '?';
	}
	errors_from_store(errors, line);
}

void errors_show(struct errors *errors, FILE *out)
{
	pthread_mutex_lock(&errors->lock);
	for (uint64_t i = 0; i < ERRORS_LINES; i++) {
		/* A name or a path in a message may hold anything. */
		char *line = errors->lines[(errors->total + i) % ERRORS_LINES];

		for (const char *c = line; c != NULL && *c != '\0'; c++)
			fputc(is_printable(*c) ? *c : '?', out);
		if (line != NULL)
			fputc('\n', out);
	}
	pthread_mutex_unlock(&errors->lock);
}

void errors_clear(struct errors *errors)
{
	pthread_mutex_lock(&errors->lock);
	for (unsigned i = 0; i < ERRORS_LINES; i++) {
		free(errors->lines[i]);
		errors->lines[i] = NULL;
	}
	pthread_mutex_unlock(&errors->lock);
}

uint64_t errors_total(struct errors *errors)
{
	return atomic_load(&errors->total);
}
