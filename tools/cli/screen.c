/*
 * screen.c - text for people: labels, wrapped lines, and colours where they are wanted.
 */
#include "tools/cli/screen.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/codec/printable.h"

#define COLUMNS_DEFAULT 80u
/* Narrower nothing fits, wider the eye gets lost. */
#define COLUMNS_MIN 60u
#define COLUMNS_MAX 100u

void screen_of_terminal(struct screen *screen)
{
	const char *none = getenv("NO_COLOR");
	const char *kind = getenv("TERM");
	bool terminal = isatty(STDOUT_FILENO) == 1;
	struct winsize size;

	screen->out = stdout;
	screen->colours = terminal && (none == NULL || none[0] == '\0') && kind != NULL &&
	                  strcmp(kind, "dumb") != 0;
	screen->columns = COLUMNS_DEFAULT;
	if (!terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return;
	screen->columns = size.ws_col;
	if (screen->columns < COLUMNS_MIN)
		screen->columns = COLUMNS_MIN;
	if (screen->columns > COLUMNS_MAX)
		screen->columns = COLUMNS_MAX;
}

void screen_colour(const struct screen *screen, enum screen_colour colour)
{
	static const char *const codes[] = {
		[SCREEN_PLAIN] = "0",   [SCREEN_BOLD] = "1",   [SCREEN_RED] = "1;31",
		[SCREEN_YELLOW] = "33", [SCREEN_GREEN] = "32", [SCREEN_DIM] = "2",
	};

	if (screen->colours)
		(void)fprintf(screen->out, "\033[%sm", codes[colour]);
}

void screen_label(const struct screen *screen, enum screen_colour colour, const char *label)
{
	(void)fputs("  ", screen->out);
	screen_colour(screen, colour);
	(void)fprintf(screen->out, "%-*s", (int)SCREEN_INDENT - 2, label);
	screen_colour(screen, SCREEN_PLAIN);
}

void screen_title(const struct screen *screen, const char *title)
{
	char *text = strdup(title);

	if (text != NULL)
		printable_clean(text);
	screen_colour(screen, SCREEN_BOLD);
	(void)fputs(text != NULL ? text : "(no memory)", screen->out);
	screen_colour(screen, SCREEN_PLAIN);
	free(text);
}

/* Words one after another, from SCREEN_INDENT on. */
static void put_words(const struct screen *screen, const char *text)
{
	size_t column = SCREEN_INDENT;

	while (*text != '\0') {
		size_t length = strcspn(text, " ");

		if (column > SCREEN_INDENT && column + 1 + length > screen->columns) {
			(void)fprintf(screen->out, "\n%*s", (int)SCREEN_INDENT, "");
			column = SCREEN_INDENT;
		} else if (column > SCREEN_INDENT) {
			(void)fputc(' ', screen->out);
			column++;
		}
		(void)fwrite(text, 1, length, screen->out);
		column += length;
		text += length;
		text += *text == ' ';
	}
	(void)fputc('\n', screen->out);
}

void screen_line(const struct screen *screen, enum screen_colour colour, const char *label,
                 const char *format, ...)
{
	char *text = NULL;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	screen_label(screen, colour, label);
	if (length < 0) {
		(void)fputs("(no memory)\n", screen->out);
		return;
	}
	printable_clean(text);
	put_words(screen, text);
	free(text);
}
