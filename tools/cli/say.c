/*
 * say.c - messages for people.
 */
#include "tools/cli/say.h"
#include "engine/codec/printable.h"
#include "tools/cli/progress.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Longest message; a longer one is cut. */
#define MESSAGE_BYTES_MAX 6144

static bool stdout_is_left;

/* The text of a message, of which nothing reaches a terminal but what is to be seen. */
__attribute__((format(printf, 2, 0))) static void fill(char message[MESSAGE_BYTES_MAX],
                                                       const char *format, va_list arguments)
{
	if (vsnprintf(message, MESSAGE_BYTES_MAX, format, arguments) < 0)
		message[0] = '\0';
	printable_clean(message);
}

/* One call of fprintf for the line, so that lines of two processes do not mix. */
__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
	char message[MESSAGE_BYTES_MAX];
	va_list arguments;

	va_start(arguments, format);
	fill(message, format, arguments);
	va_end(arguments);
	progress_clear();
	(void)fprintf(stderr, "quiverfs: %s\n", message);
}

void say_error(const char *subject, const char *format, ...)
{
	char message[MESSAGE_BYTES_MAX];
	va_list arguments;

	va_start(arguments, format);
	fill(message, format, arguments);
	va_end(arguments);
	put("%s: %s", subject, message);
}

void say_errno(const char *subject, int result)
{
	say_error(subject, "%s", strerror(-result));
}

void say_engine(const char *subject, const char *text, int result)
{
	char shown[MESSAGE_BYTES_MAX]; /* the engine's text has it like that, too */
	size_t length;

	(void)snprintf(shown, sizeof(shown), "%s", subject);
	printable_clean(shown);
	length = strlen(shown);
	if (text[0] == '\0')
		say_errno(subject, result);
	else if (strncmp(text, shown, length) == 0 && (text[length] == ':' || text[length] == '/'))
		put("%s", text);
	else
		say_error(subject, "%s", text);
}

void say_note(const char *subject, const char *format, ...)
{
	char message[MESSAGE_BYTES_MAX];
	va_list arguments;

	va_start(arguments, format);
	fill(message, format, arguments);
	va_end(arguments);
	put("%s: note: %s", subject, message);
}

void say_result(const char *format, ...)
{
	char message[MESSAGE_BYTES_MAX];
	va_list arguments;

	va_start(arguments, format);
	fill(message, format, arguments);
	va_end(arguments);
	if (stdout_is_left)
		put("%s", message);
	else
		(void)printf("%s\n", message);
}

void say_question(const char *format, ...)
{
	char message[MESSAGE_BYTES_MAX];
	va_list arguments;

	va_start(arguments, format);
	fill(message, format, arguments);
	va_end(arguments);
	(void)fprintf(stderr, "%s ", message);
	(void)fflush(stderr); /* nobody to tell */
}

void say_leave_stdout(void)
{
	stdout_is_left = true;
}
