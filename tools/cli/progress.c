/*
 * progress.c - a bar on the terminal while something takes long.
 */
#include "tools/cli/progress.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_NS INT64_C(100000000)
#define NS_IN_S 1e9
#define COLUMNS_DEFAULT 80u
#define COLUMNS_MAX 200u
#define BAR_CELLS_MAX 40u
/* A shorter one tells nothing. */
#define BAR_CELLS_MIN 8u
/* What stands beside the cells of a bar: " [] 100%". */
#define BAR_TEXT_CELLS 8u
#define BAR_BYTES (BAR_CELLS_MAX + BAR_TEXT_CELLS + 16)
#define FIGURES_BYTES 96
/* A longer time left is not a forecast. */
#define LEFT_SECONDS_MAX (99.0 * 3600)

/* Whether a bar is on the screen. */
static atomic_bool on_screen;

static int64_t now_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		return 0;
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Of the terminal, as it is now, or what COLUMNS says where that is less or the terminal does not
 * know. */
static unsigned terminal_columns(void)
{
	const char *said = getenv("COLUMNS");
	unsigned long asked = said != NULL ? strtoul(said, NULL, 10) : 0;
	unsigned columns = COLUMNS_DEFAULT;
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		columns = size.ws_col;
	else if (asked > 0)
		columns = COLUMNS_MAX;
	if (asked > 0 && asked < columns)
		columns = (unsigned)asked;
	return columns < COLUMNS_MAX ? columns : COLUMNS_MAX;
}

/* "3:07 left" or "1:02:09 left"; "" where it cannot be told. */
static void format_left(char *to, size_t size, double seconds)
{
	unsigned whole;

	to[0] = '\0';
	if (!(seconds >= 0) || seconds > LEFT_SECONDS_MAX)
		return;
	whole = (unsigned)(seconds + 0.5);
	if (whole >= 3600)
		(void)snprintf(to, size, "%u:%02u:%02u left", whole / 3600, whole / 60 % 60,
		               whole % 60);
	else
		(void)snprintf(to, size, "%u:%02u left", whole / 60, whole % 60);
}

/* What stands behind the bar, as much of it as fits into `room` characters: first goes the time left,
 * then the rate. */
static void format_figures(const struct progress *progress, uint64_t done, double per_second,
                           size_t room, char to[FIGURES_BYTES])
{
	char rate[48] = "", left[32] = "";

	if (progress->unit != NULL)
		(void)snprintf(rate, sizeof(rate), "  %.0f %s/s", per_second, progress->unit);
	if (per_second > 0 && done < progress->total)
		format_left(left, sizeof(left), (double)(progress->total - done) / per_second);
	if (strlen(rate) > room)
		rate[0] = '\0';
	if (left[0] == '\0' || strlen(rate) + 2 + strlen(left) > room)
		(void)snprintf(to, FIGURES_BYTES, "%s", rate);
	else
		(void)snprintf(to, FIGURES_BYTES, "%s  %s", rate, left);
}

/* The bar, where it has room behind `used` characters; else the share alone. */
static void format_bar(double share, size_t used, size_t room, char to[BAR_BYTES])
{
	size_t cells = room > used + BAR_TEXT_CELLS ? room - used - BAR_TEXT_CELLS : 0;
	char bar[BAR_CELLS_MAX + 1];

	if (cells > BAR_CELLS_MAX)
		cells = BAR_CELLS_MAX;
	if (cells < BAR_CELLS_MIN) {
		(void)snprintf(to, BAR_BYTES, " %3u%%", (unsigned)(share * 100));
		return;
	}
	memset(bar, '.', cells);
	memset(bar, '#', (size_t)(share * (double)cells));
	bar[cells] = '\0';
	(void)snprintf(to, BAR_BYTES, " [%s] %3u%%", bar, (unsigned)(share * 100));
}

/* Draw the bar over the one before: one line that the terminal does not break, since what is on a
 * second one would stay there. */
static void draw(struct progress *progress, uint64_t done, int64_t now)
{
	char bar[BAR_BYTES], figures[FIGURES_BYTES];
	double seconds = (double)(now - progress->started_ns) / NS_IN_S;
	double per_second = seconds > 0 ? (double)(done - progress->first) / seconds : 0;
	double share = progress->total > 0 ? (double)done / (double)progress->total : 0;
	/* the last column stays free: some terminals go on to the next line behind it */
	size_t room = terminal_columns() - 1;
	size_t used = strlen(progress->label);

	if (progress->total == 0)
		(void)snprintf(bar, sizeof(bar), " %" PRIu64, done);
	else
		format_bar(share < 1 ? share : 1, room, room, bar);
	used += strlen(bar);
	format_figures(progress, done, per_second, room > used ? room - used : 0, figures);
	if (progress->total > 0)
		format_bar(share < 1 ? share : 1, strlen(progress->label) + strlen(figures), room,
		           bar);
	(void)fprintf(stderr, "\r\033[K");
	if (used <= room)
		(void)fprintf(stderr, "%s%s%s", progress->label, bar, figures);
	(void)fflush(stderr);
	atomic_store(&on_screen, true);
	progress->drawn_ns = now;
}

/* Whether stderr is a terminal on which a line can be drawn over. */
static bool can_draw(void)
{
	const char *kind = getenv("TERM");

	return isatty(STDERR_FILENO) == 1 && kind != NULL && kind[0] != '\0' &&
	       strcmp(kind, "dumb") != 0;
}

void progress_start(struct progress *progress, const char *label, const char *unit, uint64_t first,
                    uint64_t total)
{
	memset(progress, 0, sizeof(*progress));
	progress->shown = can_draw();
	progress->label = label;
	progress->unit = unit;
	progress->first = first;
	progress->total = total;
	progress->started_ns = now_ns();
}

void progress_update(struct progress *progress, uint64_t done)
{
	int64_t now;

	if (!progress->shown)
		return;
	now = now_ns();
	if (progress->drawn_ns == 0 || now - progress->drawn_ns >= REDRAW_NS)
		draw(progress, done, now);
}

void progress_clear(void)
{
	if (!atomic_exchange(&on_screen, false))
		return;
	(void)fputs("\r\033[K", stderr);
	(void)fflush(stderr);
}

void progress_end(struct progress *progress)
{
	(void)progress; /* one bar at a time */
	progress_clear();
}
