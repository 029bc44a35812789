/*
 * map_csv.c - a map as a table, for other programs.
 */
#include "tools/cli/map_csv.h"
#include "engine/codec/element_text.h"

#include <endian.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 128u

/* A number, in the fewest digits that are read back as it is. */
static void put_number(double number, char to[ELEMENT_TEXT_BYTES])
{
	uint64_t little;

	memcpy(&little, &number, sizeof(little));
	little = htole64(little);
	(void)element_write(ELEMENT_F8, &little, 0, to);
}

/* A comma and a text in quotes, or nothing behind it. */
static int write_cell(struct out_file *file, const char *text)
{
	int result = out_file_write(file, text != NULL ? ",\"" : ",", text != NULL ? 2 : 1);

	while (result == 0 && text != NULL && *text != '\0') {
		size_t length = strcspn(text, "\"");

		result = out_file_write(file, text, length);
		text += length;
		if (result == 0 && *text == '"') {
			result = out_file_write(file, "\"\"", 2);
			text++;
		}
	}
	return result < 0 || text == NULL ? result : out_file_write(file, "\"", 1);
}

static int write_colour(const struct map_points *points, size_t index, struct out_file *file)
{
	char number[ELEMENT_TEXT_BYTES + 1] = ",";

	if (points->colours == MAP_GROUPED)
		return write_cell(file, points->groups[index] == MAP_NONE
		                                ? NULL
		                                : points->names[points->groups[index]]);
	if (!isnan(points->numbers[index]))
		put_number(points->numbers[index], number + 1);
	return out_file_write(file, number, strlen(number));
}

int map_csv_write(const struct map_points *points, struct out_file *file)
{
	char line[LINE_BYTES], x[ELEMENT_TEXT_BYTES], y[ELEMENT_TEXT_BYTES];
	int length = snprintf(line, sizeof(line), "id,x,y%s%s\n",
	                      points->colours != MAP_PLAIN ? ",colour" : "",
	                      points->labels != NULL ? ",label" : "");
	int result = out_file_write(file, line, (size_t)length);

	for (size_t i = 0; result == 0 && i < points->count; i++) {
		put_number(points->places[2 * i], x);
		put_number(points->places[2 * i + 1], y);
		length = snprintf(line, sizeof(line), "%" PRIu64 ",%s,%s", points->ids[i], x, y);
		result = out_file_write(file, line, (size_t)length);
		if (result == 0 && points->colours != MAP_PLAIN)
			result = write_colour(points, i, file);
		if (result == 0 && points->labels != NULL)
			result = write_cell(file, points->labels[i]);
		if (result == 0)
			result = out_file_write(file, "\n", 1);
	}
	return result;
}
