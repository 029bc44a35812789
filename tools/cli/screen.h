/*
 * screen.h - text for people: labels, wrapped lines, and colours where they are wanted.
 * One thread.
 */
#ifndef SCREEN_H
#define SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Where text begins behind a label. */
#define SCREEN_INDENT 15u

enum screen_colour {
	SCREEN_PLAIN,
	SCREEN_BOLD,
	SCREEN_RED, /* what is wrong */
	SCREEN_YELLOW, /* what one should know */
	SCREEN_GREEN,
	SCREEN_DIM,
};

struct screen {
	FILE *out;
	bool colours;
	size_t columns; /* lines are wrapped at */
};

/* Standard output: its width, colours where it is a terminal that has them and NO_COLOR is
 * not set. */
void screen_of_terminal(struct screen *screen);

/* Turn a colour on, or with SCREEN_PLAIN off. */
void screen_colour(const struct screen *screen, enum screen_colour colour);

/* A label in front of text that follows, in a colour of its own. */
void screen_label(const struct screen *screen, enum screen_colour colour, const char *label);

/* What stands at the top, bold, without a newline. */
void screen_title(const struct screen *screen, const char *title);

/* A label and a text as printf makes it, wrapped between words; words longer than a line
 * (paths) stay whole. Ends with a newline. Of both texts a terminal sees what printable.h leaves. */
void screen_line(const struct screen *screen, enum screen_colour colour, const char *label,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
