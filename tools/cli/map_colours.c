/*
 * map_colours.c - what the colours of a map tell.
 */
#include "tools/cli/map_colours.h"
#include "tools/cli/ids.h"
#include "tools/cli/key_table.h"
#include "tools/cli/say.h"
#include "tools/map/clusters.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the name of a group. */
#define NAME_BYTES 200u
/* Labels that tell what is in a cluster. */
#define CLUSTER_LABELS 3u

/* A value that some points have. */
struct value {
	char *text;
	size_t count;
	uint32_t group;
};

struct colouring {
	struct map_points *points;
	uint64_t start_id;
	bool has_ids, by_label;
	uint64_t rows, matched;
	struct key_table labels; /* the first point with each label */
	uint32_t *next; /* the next point with the same label, or MAP_NONE */
	struct key_table texts; /* the number of each value */
	struct value *values;
	size_t count, room;
	uint32_t *of; /* of each point the value, or MAP_NONE */
};

/* ---- reading a table ----------------------------------------------------- */

/* First look: do the rows have IDs, and are all of them numbers? */
static int look(void *arg, uint64_t row, const char *id, const char *value)
{
	struct colouring *colouring = arg;
	uint64_t number;

	(void)row;
	(void)value;
	if (id != NULL) {
		colouring->has_ids = true;
		if (!id_parse(id, &number))
			colouring->by_label = true;
	}
	return 0;
}

static int number_labels(struct colouring *colouring)
{
	struct map_points *points = colouring->points;
	uint64_t first;

	colouring->next = calloc(points->count + 1, sizeof(*colouring->next));
	if (colouring->next == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < points->count; i++) {
		int got = 1;

		colouring->next[i] = MAP_NONE;
		if (points->labels[i] != NULL)
			got = key_table_add(&colouring->labels, points->labels[i],
			                    strlen(points->labels[i]), i, &first);
		if (got < 0)
			return got;
		if (got == 0) {
			colouring->next[i] = colouring->next[first];
			colouring->next[first] = (uint32_t)i;
		}
	}
	return 0;
}

/* The number of a value, which may be new. MAP_NONE without memory. */
static uint32_t number_value(struct colouring *colouring, const char *text)
{
	uint64_t number;
	int got = key_table_add(&colouring->texts, text, strlen(text), colouring->count, &number);

	if (got < 0)
		return MAP_NONE;
	if (got == 1 && colouring->count == colouring->room) {
		size_t room = colouring->room > 0 ? colouring->room * 2 : 64;
		struct value *more = reallocarray(colouring->values, room, sizeof(*more));

		if (more == NULL)
			return MAP_NONE;
		colouring->values = more;
		colouring->room = room;
	}
	if (got == 1) {
		char *copy = strndup(text, NAME_BYTES);

		if (copy == NULL)
			return MAP_NONE;
		colouring->values[colouring->count++] = (struct value){ .text = copy };
	}
	return (uint32_t)number;
}

/* The first point that a row is of, or MAP_NONE. */
static int find_point(struct colouring *colouring, uint64_t row, const char *id, uint32_t *point)
{
	struct map_points *points = colouring->points;
	uint64_t number = colouring->start_id + row;
	int got;

	*point = MAP_NONE;
	if (colouring->by_label && id != NULL) {
		got = key_table_add(&colouring->labels, id, strlen(id), MAP_NONE, &number);
		*point = (uint32_t)number;
		return got < 0 ? got : 0;
	}
	if (!colouring->has_ids || (id != NULL && id_parse(id, &number)))
		*point = map_points_find(points->ids, points->count, number);
	return 0;
}

static int take(void *arg, uint64_t row, const char *id, const char *value)
{
	struct colouring *colouring = arg;
	uint32_t point, number;
	int result = find_point(colouring, row, id, &point);

	colouring->rows++;
	if (result < 0 || point == MAP_NONE)
		return result;
	colouring->matched++;
	if (value == NULL)
		return 0;
	number = number_value(colouring, value);
	if (number == MAP_NONE)
		return -ENOMEM;
	for (; point != MAP_NONE; point = colouring->by_label ? colouring->next[point] : MAP_NONE)
		colouring->of[point] = number;
	return 0;
}

static int read_table(const struct map_table *table, struct colouring *colouring)
{
	struct map_points *points = colouring->points;
	int result = map_table_read(table, look, colouring);

	if (result == 0 && colouring->by_label && points->labels == NULL) {
		say_error(table->path, "its IDs are not numbers; --keys FILE, with a line for each "
		                       "vector, tells their numbers");
		return -EINVAL;
	}
	colouring->of = malloc((points->count + 1) * sizeof(*colouring->of));
	if (result == 0 && colouring->of == NULL)
		result = -ENOMEM;
	for (size_t i = 0; result == 0 && i < points->count; i++)
		colouring->of[i] = MAP_NONE;
	if (result == 0 && colouring->by_label)
		result = number_labels(colouring);
	if (result == 0)
		result = map_table_read(table, take, colouring);
	if (result == -ENOMEM)
		say_errno(table->path, result);
	return result;
}

/* ---- groups, or a scale ---------------------------------------------------- */

/* Whether a text is a number, a whole one where `whole` says so. */
static bool is_number(const char *text, bool whole, double *number)
{
	char *end;

	*number = strtod(text, &end);
	return end != text && *end == '\0' && isfinite(*number) &&
	       (!whole || floor(*number) == *number);
}

static bool all_numbers(const struct colouring *colouring, bool whole)
{
	double number;

	for (size_t i = 0; i < colouring->count; i++) {
		if (!is_number(colouring->values[i].text, whole, &number))
			return false;
	}
	return colouring->count > 0;
}

static int make_scale(struct colouring *colouring)
{
	struct map_points *points = colouring->points;

	points->numbers = calloc(points->count + 1, sizeof(*points->numbers));
	if (points->numbers == NULL)
		return -ENOMEM;
	points->colours = MAP_SCALED;
	points->least = INFINITY;
	points->most = -INFINITY;
	for (size_t i = 0; i < points->count; i++) {
		points->numbers[i] = NAN;
		if (colouring->of[i] == MAP_NONE)
			continue;
		(void)is_number(colouring->values[colouring->of[i]].text, false,
		                &points->numbers[i]); /* it was one before */
		points->least = fmin(points->least, points->numbers[i]);
		points->most = fmax(points->most, points->numbers[i]);
	}
	return 0;
}

/* What most points have comes first. */
static int compare_counts(const void *left, const void *right)
{
	const struct value *a = *(const struct value *const *)left;
	const struct value *b = *(const struct value *const *)right;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return strcmp(a->text, b->text);
}

static int compare_numbers(const void *left, const void *right)
{
	double a = 0, b = 0;

	(void)is_number((*(const struct value *const *)left)->text, false, &a); /* both are */
	(void)is_number((*(const struct value *const *)right)->text, false, &b);
	return (a > b) - (a < b);
}

static int name_groups(struct colouring *colouring, struct value **sorted)
{
	struct map_points *points = colouring->points;
	size_t own = colouring->count <= MAP_GROUPS_MAX ? colouring->count : MAP_GROUPS_MAX;
	char other[NAME_BYTES];

	for (size_t i = 0; i < colouring->count; i++)
		sorted[i]->group = (uint32_t)(i < own ? i : own);
	for (size_t i = 0; i < own; i++) {
		points->names[i] = strdup(sorted[i]->text);
		if (points->names[i] == NULL)
			return -ENOMEM;
		points->name_count++;
	}
	if (own == colouring->count)
		return 0;
	(void)snprintf(other, sizeof(other), "%zu others", colouring->count - own);
	points->names[own] = strdup(other);
	points->name_count += points->names[own] != NULL;
	return points->names[own] != NULL ? 0 : -ENOMEM;
}

static int make_groups(struct colouring *colouring, bool classes)
{
	struct map_points *points = colouring->points;
	struct value **sorted = calloc(colouring->count + 1, sizeof(struct value *));
	int result = sorted != NULL ? 0 : -ENOMEM;

	points->groups = calloc(points->count + 1, sizeof(*points->groups));
	if (points->groups == NULL)
		result = -ENOMEM;
	for (size_t i = 0; result == 0 && i < points->count; i++) {
		if (colouring->of[i] != MAP_NONE)
			colouring->values[colouring->of[i]].count++;
	}
	for (size_t i = 0; result == 0 && i < colouring->count; i++)
		sorted[i] = &colouring->values[i];
	if (result == 0) {
		qsort(sorted, colouring->count, sizeof(struct value *),
		      classes ? compare_numbers : compare_counts);
		result = name_groups(colouring, sorted);
	}
	points->colours = MAP_GROUPED;
	for (size_t i = 0; result == 0 && i < points->count; i++)
		points->groups[i] = colouring->of[i] == MAP_NONE
		                            ? MAP_NONE
		                            : colouring->values[colouring->of[i]].group;
	free(sorted);
	return result;
}

static void say_unmatched(const struct map_table *table, const struct colouring *colouring)
{
	size_t without = 0;

	for (size_t i = 0; i < colouring->points->count; i++)
		without += colouring->of[i] == MAP_NONE;
	if (colouring->matched == 0)
		say_note(table->path,
		         "none of its %" PRIu64 " rows belongs to a vector that is drawn",
		         colouring->rows);
	else if (without > 0)
		say_note(table->path, "it has no value for %zu of %zu vectors; these are grey",
		         without, colouring->points->count);
}

int map_colours_of_table(const struct map_table *table, uint64_t start_id,
                         struct map_points *points)
{
	struct colouring colouring = { .points = points, .start_id = start_id };
	const char *name = strrchr(table->path, '/');
	int result = read_table(table, &colouring);

	if (result == 0) {
		bool classes = all_numbers(&colouring, true) && colouring.count <= MAP_CLASSES_MAX;

		say_unmatched(table, &colouring);
		result = all_numbers(&colouring, false) && !classes
		                 ? make_scale(&colouring)
		                 : make_groups(&colouring, classes);
		points->colour_title = strdup(table->column != NULL ? table->column
		                              : name != NULL        ? name + 1
		                                                    : table->path);
		if (points->colour_title == NULL)
			result = -ENOMEM;
		if (result < 0)
			say_errno(table->path, result);
	}
	for (size_t i = 0; i < colouring.count; i++)
		free(colouring.values[i].text);
	free(colouring.values);
	free(colouring.of);
	free(colouring.next);
	key_table_free(&colouring.labels);
	key_table_free(&colouring.texts);
	return result;
}

/* ---- clusters ------------------------------------------------------------- */

/* Name a cluster by the labels that are nearest to its centre. */
static char *name_cluster(const struct map_points *points, size_t cluster, const float *centre)
{
	uint32_t best[CLUSTER_LABELS];
	float distances[CLUSTER_LABELS];
	size_t count = 0, length;
	char name[NAME_BYTES * (CLUSTER_LABELS + 1)];

	for (size_t i = 0; points->labels != NULL && i < points->count; i++) {
		float distance;
		size_t at;

		if (points->groups[i] != cluster || points->labels[i] == NULL)
			continue;
		distance = clusters_distance(points->reduced + i * points->directions, centre,
		                             points->directions);
		at = count < CLUSTER_LABELS ? count++ : CLUSTER_LABELS;
		for (; at > 0 && distances[at - 1] > distance; at--) {
			if (at < CLUSTER_LABELS) {
				distances[at] = distances[at - 1];
				best[at] = best[at - 1];
			}
		}
		if (at < CLUSTER_LABELS) {
			distances[at] = distance;
			best[at] = (uint32_t)i;
		}
	}
	length = (size_t)snprintf(name, sizeof(name), count > 0 ? "%zu:" : "cluster %zu",
	                          cluster + 1);
	for (size_t i = 0; i < count && length < sizeof(name); i++)
		length += (size_t)snprintf(name + length, sizeof(name) - length, "%s %s",
		                           i > 0 ? "," : "", points->labels[best[i]]);
	return strdup(name);
}

int map_colours_of_clusters(size_t most, struct map_points *points)
{
	float *centres = calloc(most * points->directions + 1, sizeof(*centres));
	size_t found = most;
	int result = centres != NULL ? 0 : -ENOMEM;

	points->groups = calloc(points->count + 1, sizeof(*points->groups));
	points->colour_title = strdup("Clusters (k-means)");
	if (points->groups == NULL || points->colour_title == NULL)
		result = -ENOMEM;
	if (result == 0)
		result = clusters_find(points->reduced, points->count, points->directions, &found,
		                       points->groups, centres);
	points->colours = MAP_GROUPED;
	for (size_t i = 0; result == 0 && i < found; i++) {
		points->names[i] = name_cluster(points, i, centres + i * points->directions);
		if (points->names[i] == NULL)
			result = -ENOMEM;
		else
			points->name_count++;
	}
	free(centres);
	return result;
}
