/*
 * say.c - messages for people, on stderr.
 */
#include "tools/cli/say.h"
#include "tools/cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Longest message; a longer one is cut. */
#define MESSAGE_BYTES_MAX 6144

/* One call of fprintf for the line, so that lines of two processes do not mix. */
static void say(const char *subject, const char *kind, const char *format, va_list arguments)
{
	char message[MESSAGE_BYTES_MAX];

	(void)vsnprintf(message, sizeof(message), format, arguments);
	progress_clear();
	(void)fprintf(stderr, "quiverfs: %s: %s%s\n", subject, kind, message);
}

void say_error(const char *subject, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(subject, "", format, arguments);
	va_end(arguments);
}

void say_errno(const char *subject, int result)
{
	say_error(subject, "%s", strerror(-result));
}

void say_engine(const char *subject, const char *text, int result)
{
	size_t length = strlen(subject);

	if (text[0] == '\0')
		say_errno(subject, result);
	else if (strncmp(text, subject, length) == 0 &&
	         (text[length] == ':' || text[length] == '/'))
		(void)fprintf(stderr, "quiverfs: %s\n", text);
	else
		say_error(subject, "%s", text);
}

void say_note(const char *subject, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(subject, "note: ", format, arguments);
	va_end(arguments);
}
