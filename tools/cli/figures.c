/*
 * figures.c - numbers as people read them, and bars.
 */
#include "tools/cli/figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *figure_count(uint64_t number, char to[FIGURE_BYTES])
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
	char *at = to;

	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			*at++ = ',';
		*at++ = digits[i];
	}
	*at = '\0';
	return to;
}

const char *figure_short(uint64_t number, char to[FIGURE_BYTES])
{
	static const char units[] = "MGTPE";
	double value = (double)number / 1e6;
	size_t unit = 0;

	if (number < 10000000)
		return figure_count(number, to);
	while (value >= 999.95 && units[unit + 1] != '\0') {
		value /= 1000;
		unit++;
	}
	(void)snprintf(to, FIGURE_BYTES, "%.1f %c", value, units[unit]);
	return to;
}

const char *figure_bytes(uint64_t bytes, char to[FIGURE_BYTES])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(to, FIGURE_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return to;
}

const char *figure_time(uint64_t ns, char to[FIGURE_BYTES])
{
	if (ns < 1000)
		(void)snprintf(to, FIGURE_BYTES, "%" PRIu64 " ns", ns);
	else if (ns < 1000000)
		(void)snprintf(to, FIGURE_BYTES, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		(void)snprintf(to, FIGURE_BYTES, "%.1f ms", (double)ns / 1e6);
	else
		(void)snprintf(to, FIGURE_BYTES, "%.2f s", (double)ns / 1e9);
	return to;
}

const char *figure_rate(double per_second, char to[FIGURE_BYTES])
{
	if (!(per_second > 0))
		(void)snprintf(to, FIGURE_BYTES, "0");
	else if (per_second < 1)
		(void)snprintf(to, FIGURE_BYTES, "%.2f", per_second);
	else if (per_second < 100)
		(void)snprintf(to, FIGURE_BYTES, "%.1f", per_second);
	else
		(void)figure_count((uint64_t)(per_second + 0.5), to);
	return to;
}

/* How many cells a part gets of a bar over `sum`. */
static size_t share(uint64_t amount, double sum, size_t cells)
{
	size_t got = (size_t)((double)amount / sum * (double)cells);

	return amount > 0 && got == 0 ? 1 : got;
}

void bar_draw(const struct bar_part *parts, size_t count, size_t cells, char *to)
{
	size_t used = 0, largest = 0, at = 0, others;
	double sum = 0;

	memset(to, ' ', cells);
	to[cells] = '\0';
	for (size_t i = 0; i < count; i++) {
		sum += (double)parts[i].amount;
		if (parts[i].amount > parts[largest].amount)
			largest = i;
	}
	if (!(sum > 0))
		return;
	/* The largest takes what rounding leaves over, and gives what small ones are
	 * rounded up by. */
	for (size_t i = 0; i < count; i++)
		used += i == largest ? 0 : share(parts[i].amount, sum, cells);
	others = used < cells ? used : cells;
	for (size_t i = 0; i < count; i++) {
		size_t length = i == largest ? cells - others : share(parts[i].amount, sum, cells);

		if (length > cells - at)
			length = cells - at;
		memset(to + at, parts[i].mark, length);
		at += length;
	}
}
