/*
 * status_watch.c - quiverfs status --watch: the screen again and again.
 */
#include "tools/cli/say.h"
#include "tools/cli/status.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ROWS_DEFAULT 24u
#define MS_PER_S 1000.0
/* A signal that comes just before a sleep begins is seen after it. */
#define SLEEP_MS_MAX 200u

static size_t terminal_rows(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 2)
		return ROWS_DEFAULT;
	return size.ws_row;
}

/* Draw a text over the one before, as many of its lines as there are rows but one, which
 * is for what may have to be said; what is wrong stands at the top. Long lines are cut. */
static void draw(const char *text, size_t rows)
{
	(void)fputs("\033[?7l\033[H", stdout);
	for (size_t row = 0; row + 1 < rows && *text != '\0'; row++) {
		size_t length = strcspn(text, "\n");

		(void)printf("%.*s\033[K\n", (int)length, text);
		text += length;
		text += *text == '\n';
	}
	(void)fputs("\033[J\033[?7h", stdout);
}

/* Look once, and only then draw, so that nothing flickers. */
static int look_and_draw(const struct status_wanted *wanted, struct status_before *before)
{
	struct screen screen;
	size_t length = 0;
	char *text = NULL;
	int result, failed;

	screen_of_terminal(&screen); /* it may have another size now */
	screen.out = open_memstream(&text, &length);
	if (screen.out == NULL)
		return -ENOMEM;
	result = status_look(wanted, &screen, before);
	failed = ferror(screen.out);
	if ((fclose(screen.out) != 0 || failed) && result == 0)
		result = -ENOMEM;
	if (result == 0)
		draw(text, terminal_rows());
	free(text);
	return result;
}

static int look(const struct status_wanted *wanted, const struct screen *screen,
                struct status_before *before, bool terminal)
{
	int result;

	if (terminal)
		result = look_and_draw(wanted, before);
	else
		result = status_look(wanted, screen, before);
	if (result == 0 && fflush(stdout) != 0) {
		result = -errno;
		say_errno("standard output", result);
	}
	return result;
}

static void pause_for(double seconds)
{
	unsigned left = (unsigned)(seconds * MS_PER_S);

	while (left > 0 && !interrupted()) {
		unsigned ms = left < SLEEP_MS_MAX ? left : SLEEP_MS_MAX;

		interruptible_sleep(ms);
		left -= ms;
	}
}

int status_follow(const struct status_wanted *wanted, const struct screen *screen)
{
	struct status_before before = { .at_ns = 0 };
	bool terminal = isatty(STDOUT_FILENO) == 1 && !wanted->json;
	int result = interrupt_catch();

	if (result < 0) {
		say_errno("signals", result);
		return result;
	}
	/* What is on the screen goes up, so that it can be scrolled back to. */
	for (size_t row = terminal ? terminal_rows() : 0; row > 0; row--)
		(void)fputc('\n', stdout);
	while (!interrupted()) {
		bool gone = result == -ENOTCONN;

		result = look(wanted, screen, &before, terminal);
		/* A daemon that ends meanwhile has said so; what is there then is seen the
		 * next time. */
		if (result < 0 && (gone || result != -ENOTCONN))
			break;
		pause_for(wanted->seconds);
		if (!interrupted() && !terminal && !wanted->json)
			(void)fputc('\n', stdout);
	}
	facts_free(&before.facts);
	return interrupted() ? 0 : result;
}
