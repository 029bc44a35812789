/*
 * map_about.c - what a map says of itself.
 */
#include "tools/cli/map_about.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

const char *map_number(uint64_t number, char to[MAP_NUMBER_BYTES])
{
	char digits[MAP_NUMBER_BYTES];
	size_t length = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, number), used = 0;

	for (size_t i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			to[used++] = ',';
		to[used++] = digits[i];
	}
	to[used] = '\0';
	return to;
}

__attribute__((format(printf, 2, 3))) static void note(struct map_about *about, const char *format,
                                                       ...)
{
	va_list values;

	if (about->note_count == MAP_NOTES_MAX)
		return;
	va_start(values, format);
	(void)vsnprintf(about->notes[about->note_count++], MAP_NOTE_BYTES, format, values);
	va_end(values);
}

static void note_method(enum map_method method, const struct map_points *points,
                        struct map_about *about)
{
	const char *measure = points->metric == QUIVER_COSINE
	                              ? " Each vector counts by its direction alone."
	                              : "";

	if (points->is_pca && points->directions < 2)
		note(about, "Vectors of one element: from left to right is its number.%s", measure);
	else if (points->is_pca)
		note(about,
		     "PCA of all vectors: from left to right is %.1f %% of their variance, upwards "
		     "%.1f %%. What lies together here may be far apart in other directions.%s",
		     100 * points->shares[0], 100 * points->shares[1], measure);
	else
		note(about,
		     "%s of the %zu directions in which the vectors differ most: what lies "
		     "together "
		     "is alike, how far apart groups are tells little.%s",
		     method == MAP_UMAP ? "UMAP" : "t-SNE", points->directions, measure);
}

static void note_counts(const struct map_points *points, struct map_about *about)
{
	char one[MAP_NUMBER_BYTES], other[MAP_NUMBER_BYTES];

	if (points->count < points->used)
		note(about, "%s of %s vectors are drawn, spread evenly over their IDs.",
		     map_number(points->count, one), map_number(points->used, other));
	if (points->not_finite > 0)
		note(about, "%s vectors have a NaN or an infinity, and are not drawn.",
		     map_number(points->not_finite, one));
	if (points->without_direction > 0)
		note(about, "%s vectors are of zeros alone, have no direction, and are not drawn.",
		     map_number(points->without_direction, one));
}

static void note_neighbours(const struct map_points *points, struct map_about *about)
{
	char one[MAP_NUMBER_BYTES], other[MAP_NUMBER_BYTES];

	if (points->k == 0)
		return;
	if (points->asked_count < points->count)
		note(about,
		     "Point at one: its %u nearest among all %s vectors, by %s in all dimensions, "
		     "for "
		     "%s of the points.",
		     points->k, map_number(points->in_store, one),
		     quiver_metric_name(points->metric), map_number(points->asked_count, other));
	else
		note(about,
		     "Point at one: its %u nearest among all %s vectors, by %s in all dimensions.",
		     points->k, map_number(points->in_store, one),
		     quiver_metric_name(points->metric));
}

void map_about_make(const char *path, const struct quiver_geometry *geometry,
                    enum map_method method, const struct map_points *points,
                    struct map_about *about)
{
	const char *name = strrchr(path, '/');
	char number[MAP_NUMBER_BYTES];

	memset(about, 0, sizeof(*about));
	about->name = name != NULL && name[1] != '\0' ? name + 1 : path;
	(void)snprintf(about->about, sizeof(about->about),
	               "%s vector%s \xc2\xb7 %u \xc3\x97 %s "
	               "\xc2\xb7 %s \xc2\xb7 %s",
	               map_number(points->in_store, number), points->in_store == 1 ? "" : "s",
	               geometry->dim, quiver_dtype_name(geometry->dtype),
	               quiver_metric_name(points->metric),
	               points->is_pca       ? "PCA"
	               : method == MAP_UMAP ? "UMAP"
	                                    : "t-SNE");
	note_method(method, points, about);
	note_counts(points, about);
	note_neighbours(points, about);
}

char *map_quote(const char *text)
{
	json_t *string = json_string(text);
	char *ascii = string == NULL ? strdup(text) : NULL, *quoted, *safe = NULL, *to;

	for (char *at = ascii; at != NULL && *at != '\0'; at++)
		*at = (unsigned char)*at < 0x80 ? *at : '?';
	if (ascii != NULL)
		string = json_string(ascii);
	quoted = string != NULL ? json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
	if (quoted != NULL)
		safe = malloc(strlen(quoted) * 6 + 1);
	to = safe;
	for (const char *at = quoted; safe != NULL && *at != '\0'; at++) {
		if (*at == '<' || *at == '>' || *at == '&')
			to += sprintf(to, "\\u%04x", (unsigned)*at);
		else
			*to++ = *at;
	}
	if (safe != NULL)
		*to = '\0';
	json_decref(string);
	free(quoted);
	free(ascii);
	return safe;
}
