/*
 * progress.c - a bar on the terminal while something takes long.
 */
#include "tools/cli/progress.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_NS INT64_C(100000000)
#define NS_IN_S 1e9
#define COLUMNS_DEFAULT 80u
#define COLUMNS_MAX 200u
#define BAR_CELLS_MAX 40u
/* What stands beside the bar: label, percentage, rate and time left. */
#define TEXT_CELLS 56u
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

static unsigned terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return COLUMNS_DEFAULT;
	return size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
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

/* Draw the bar over the one before. */
static void draw(struct progress *progress, uint64_t done, int64_t now)
{
	char bar[BAR_CELLS_MAX + 1], rate[48] = "", left[32] = "";
	double seconds = (double)(now - progress->started_ns) / NS_IN_S;
	double per_second = seconds > 0 ? (double)(done - progress->first) / seconds : 0;
	double share = progress->total > 0 ? (double)done / (double)progress->total : 0;
	unsigned columns = terminal_columns();
	unsigned cells = columns > TEXT_CELLS ? columns - TEXT_CELLS : 0;
	unsigned full;

	if (share > 1)
		share = 1;
	if (cells > BAR_CELLS_MAX)
		cells = BAR_CELLS_MAX;
	full = (unsigned)(share * cells);
	memset(bar, '.', sizeof(bar));
	memset(bar, '#', full);
	bar[cells] = '\0';
	if (progress->unit != NULL)
		(void)snprintf(rate, sizeof(rate), "%.0f %s/s", per_second, progress->unit);
	if (per_second > 0 && done < progress->total)
		format_left(left, sizeof(left), (double)(progress->total - done) / per_second);
	if (progress->total > 0)
		(void)fprintf(stderr, "\r\033[K%.12s [%s] %3u%%  %s  %s", progress->label, bar,
		              (unsigned)(share * 100), rate, left);
	else
		(void)fprintf(stderr, "\r\033[K%.12s %" PRIu64 "  %s", progress->label, done, rate);
	(void)fflush(stderr);
	atomic_store(&on_screen, true);
	progress->drawn_ns = now;
}

void progress_start(struct progress *progress, const char *label, const char *unit, uint64_t first,
                    uint64_t total)
{
	memset(progress, 0, sizeof(*progress));
	progress->shown = isatty(STDERR_FILENO) == 1;
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
