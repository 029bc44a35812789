#include "engine/base/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/codec/printable.h"

int report_init(struct report *report, void (*sink)(void *arg, const char *line), void *arg)
{
	int r;

	*report = (struct report){ .sink = sink, .sink_arg = arg };
	report->lines = calloc(REPORT_LINES, sizeof(*report->lines));
	if (!report->lines)
		return -ENOMEM;
	r = pthread_mutex_init(&report->lock, NULL);
	if (r != 0) {
		free(report->lines);
		report->lines = NULL;
		return -r;
	}
	return 0;
}

void report_destroy(struct report *report)
{
	pthread_mutex_destroy(&report->lock);
	free(report->lines);
	report->lines = NULL;
}

__attribute__((format(printf, 2, 0))) static void format_line(char line[REPORT_LINE_BYTES],
                                                              const char *format, va_list args)
{
	time_t now = time(NULL);
	struct tm utc;
	size_t length = 0;

	if (gmtime_r(&now, &utc))
		length = strftime(line, REPORT_LINE_BYTES, "%Y-%m-%dT%H:%M:%SZ ", &utc);
	if (vsnprintf(line + length, REPORT_LINE_BYTES - length, format, args) < 0)
		line[length] = '\0';
	/* A file name in the message must not look like a line of ours. */
	printable_clean(line);
}

/* Shorter than REPORT_LINE_BYTES. The caller holds the lock. */
static void append(struct report *report, const char *line, size_t length)
{
	char *to = report->lines[(report->first + report->count) % REPORT_LINES];

	memcpy(to, line, length);
	to[length] = '\0';
	if (report->count < REPORT_LINES)
		report->count++;
	else
		report->first = (report->first + 1) % REPORT_LINES;
	report->total++;
}

void report_addv(struct report *report, const char *format, va_list args)
{
	char line[REPORT_LINE_BYTES];

	format_line(line, format, args);
	pthread_mutex_lock(&report->lock);
	append(report, line, strlen(line));
	pthread_mutex_unlock(&report->lock);
	if (report->sink)
		report->sink(report->sink_arg, line);
}

void report_add(struct report *report, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report_addv(report, format, args);
	va_end(args);
}

void report_note(struct report *report, const char *format, ...)
{
	char line[REPORT_LINE_BYTES];
	va_list args;

	if (!report->note_sink)
		return;
	va_start(args, format);
	format_line(line, format, args);
	va_end(args);
	report->note_sink(report->sink_arg, line);
}

int report_text(struct report *report, char **text, size_t *length)
{
	size_t used = 0;
	char *to;

	pthread_mutex_lock(&report->lock);
	to = malloc(report->count * REPORT_LINE_BYTES + 1);
	for (size_t i = 0; to && i < report->count; i++) {
		const char *line = report->lines[(report->first + i) % REPORT_LINES];
		size_t bytes = strlen(line);

		memcpy(to + used, line, bytes);
		to[used + bytes] = '\n';
		used += bytes + 1;
	}
	pthread_mutex_unlock(&report->lock);
	if (!to)
		return -ENOMEM;
	to[used] = '\0';
	*text = to;
	*length = used;
	return 0;
}

void report_keep(struct report *report, const char *text)
{
	size_t length;

	pthread_mutex_lock(&report->lock);
	for (; *text != '\0'; text += length + (text[length] == '\n')) {
		length = strcspn(text, "\n");
		if (length < REPORT_LINE_BYTES)
			append(report, text, length);
	}
	pthread_mutex_unlock(&report->lock);
}

void report_clear(struct report *report)
{
	pthread_mutex_lock(&report->lock);
	report->first = 0;
	report->count = 0;
	pthread_mutex_unlock(&report->lock);
}

uint64_t report_total(struct report *report)
{
	uint64_t total;

	pthread_mutex_lock(&report->lock);
	total = report->total;
	pthread_mutex_unlock(&report->lock);
	return total;
}
