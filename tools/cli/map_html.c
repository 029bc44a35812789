/*
 * map_html.c - a map as one page of HTML, which needs nothing else.
 *
 * Between the two halves of the page (tools/map/page.h) stands what is shown: a text of JSON, and
 * numbers, little-endian and in base64. A browser takes neither for markup or a script.
 */
#include "tools/cli/map_html.h"
#include "tools/cli/map_frame.h"
#include "tools/cli/say.h"
#include "tools/map/page.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of which base64 is made at once; a multiple of 3 bytes. */
#define BLOCK_BYTES 3072u
/* Of a line of JSON without its texts. */
#define LINE_BYTES 512u

static int write_text(struct out_file *file, const char *text)
{
	return out_file_write(file, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static int write_line(struct out_file *file,
                                                            const char *format, ...)
{
	char line[LINE_BYTES];
	va_list values;

	va_start(values, format);
	(void)vsnprintf(line, sizeof(line), format, values);
	va_end(values);
	return write_text(file, line);
}

/* ---- numbers --------------------------------------------------------------- */

/* A block of numbers that is being written. */
struct block {
	struct out_file *file;
	unsigned char bytes[BLOCK_BYTES];
	size_t used;
	int result;
};

static void flush_block(struct block *block)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[BLOCK_BYTES / 3 * 4];
	size_t length = 0, used = block->used;

	for (size_t i = 0; i < used; i += 3) {
		uint32_t three = (uint32_t)block->bytes[i] << 16;

		three |= i + 1 < used ? (uint32_t)block->bytes[i + 1] << 8 : 0;
		three |= i + 2 < used ? (uint32_t)block->bytes[i + 2] : 0;
		text[length++] = digits[three >> 18];
		text[length++] = digits[three >> 12 & 63];
		text[length++] = '=';
		text[length++] = '=';
		if (i + 1 < used)
			text[length - 2] = digits[three >> 6 & 63];
		if (i + 2 < used)
			text[length - 1] = digits[three & 63];
	}
	if (block->result == 0 && length > 0)
		block->result = out_file_write(block->file, text, length);
	block->used = 0;
}

static void put(struct block *block, uint64_t number, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		block->bytes[block->used++] = (unsigned char)(number >> (8 * i));
		if (block->used == BLOCK_BYTES)
			flush_block(block);
	}
}

static void begin_block(struct block *block, struct out_file *file, const char *name)
{
	block->file = file;
	block->used = 0;
	block->result =
		write_line(file, "<script type=\"application/octet-stream\" id=\"data-%s\">", name);
}

static int end_block(struct block *block)
{
	flush_block(block);
	return block->result < 0 ? block->result : write_text(block->file, "</script>\n");
}

/* How many bytes an ID takes in the page. */
static size_t id_bytes(const struct map_points *points)
{
	uint64_t most = points->count > 0 ? points->ids[points->count - 1] : 0;

	if (points->other_count > 0 && points->others[points->other_count - 1] > most)
		most = points->others[points->other_count - 1];
	return most > UINT32_MAX ? 8 : 4;
}

static int write_ids(struct out_file *file, const char *name, const uint64_t *ids, size_t count,
                     size_t bytes)
{
	struct block block;

	begin_block(&block, file, name);
	for (size_t i = 0; i < count; i++)
		put(&block, ids[i], bytes);
	return end_block(&block);
}

static int write_places(struct out_file *file, const struct map_points *points,
                        const struct map_frame *frame)
{
	struct block block;

	begin_block(&block, file, "places");
	for (size_t i = 0; i < points->count; i++) {
		put(&block, (uint64_t)lrint(65535 * map_frame_x(frame, points, i)), 2);
		put(&block, (uint64_t)lrint(65535 * map_frame_y(frame, points, i)), 2);
	}
	return end_block(&block);
}

static int write_colours(struct out_file *file, const struct map_points *points)
{
	struct block block;

	begin_block(&block, file, "colours");
	for (size_t i = 0; i < points->count && points->colours == MAP_GROUPED; i++)
		put(&block, points->groups[i] == MAP_NONE ? UINT8_MAX : points->groups[i], 1);
	for (size_t i = 0; i < points->count && points->colours == MAP_SCALED; i++)
		put(&block,
		    isnan(points->numbers[i])
		            ? UINT16_MAX
		            : (uint64_t)lrint(65534 * map_share(points, points->numbers[i])),
		    2);
	return end_block(&block);
}

static int write_neighbours(struct out_file *file, const struct map_points *points)
{
	size_t all = points->asked_count * points->k;
	struct block block;
	int result;

	begin_block(&block, file, "asked");
	for (size_t i = 0; i < points->asked_count; i++)
		put(&block, points->asked[i], 4);
	result = end_block(&block);
	begin_block(&block, file, "found");
	for (size_t i = 0; i < points->asked_count; i++)
		put(&block, points->found[i], 1);
	result = result < 0 ? result : end_block(&block);
	begin_block(&block, file, "near");
	for (size_t i = 0; i < all; i++)
		put(&block, points->near[i], 4);
	result = result < 0 ? result : end_block(&block);
	begin_block(&block, file, "distances");
	for (size_t i = 0; i < all; i++) {
		uint32_t bits;

		memcpy(&bits, &points->distances[i], sizeof(bits));
		put(&block, bits, 4);
	}
	return result < 0 ? result : end_block(&block);
}

/* ---- JSON ------------------------------------------------------------------- */

static int write_quoted(struct out_file *file, const char *text)
{
	char *quoted = map_quote(text);
	int result;

	if (quoted == NULL) {
		say_errno(file->path, -ENOMEM);
		return -ENOMEM;
	}
	result = write_text(file, quoted);
	free(quoted);
	return result;
}

/* A member whose value is a text. */
static int write_member(struct out_file *file, const char *name, const char *text)
{
	int result = write_line(file, "\"%s\": ", name);

	if (result == 0)
		result = write_quoted(file, text);
	return result < 0 ? result : write_text(file, ",\n");
}

/* A member whose value is a list of texts, "" for those that are NULL. */
static int write_list(struct out_file *file, const char *name, char *const *texts, size_t count)
{
	int result = write_line(file, "\"%s\": [", name);

	for (size_t i = 0; result == 0 && i < count; i++) {
		if (i > 0)
			result = write_text(file, ",");
		if (result == 0)
			result = write_quoted(file, texts[i] != NULL ? texts[i] : "");
	}
	return result < 0 ? result : write_text(file, "],\n");
}

static int write_notes(const struct map_about *about, struct out_file *file)
{
	char *notes[MAP_NOTES_MAX];

	for (size_t i = 0; i < about->note_count; i++)
		notes[i] = (char *)(uintptr_t)about->notes[i]; /* it is only read */
	return write_list(file, "notes", notes, about->note_count);
}

static int write_meta(const struct map_about *about, const struct map_points *points,
                      const struct map_frame *frame, struct out_file *file)
{
	static const char *const words[] = { "plain", "groups", "scale" };
	int result = write_text(file, "<script type=\"application/json\" id=\"meta\">{\n");

	if (result == 0)
		result = write_member(file, "name", about->name);
	if (result == 0)
		result = write_member(file, "about", about->about);
	if (result == 0)
		result = write_notes(about, file);
	if (result == 0 && points->colour_title != NULL)
		result = write_member(file, "colourTitle", points->colour_title);
	if (result == 0)
		result = write_list(file, "names", points->names, points->name_count);
	if (result == 0 && points->labels != NULL)
		result = write_list(file, "labels", points->labels, points->count);
	if (result == 0 && points->labels != NULL)
		result = write_list(file, "otherLabels", points->other_labels, points->other_count);
	if (result == 0 && points->name_count > MAP_GROUPS_MAX)
		result = write_line(file, "\"other\": %u,\n", MAP_GROUPS_MAX);
	if (result == 0 && points->colours == MAP_SCALED && points->least <= points->most)
		result = write_line(file, "\"least\": %.9g, \"most\": %.9g,\n", points->least,
		                    points->most);
	return result < 0 ? result
	                  : write_line(file,
	                               "\"count\": %zu, \"used\": %" PRIu64
	                               ", \"k\": %u, \"idBytes\": %zu,\n\"wide\": %.6f, "
	                               "\"high\": %.6f, \"colours\": \"%s\"\n}</script>\n",
	                               points->count, points->used, points->k, id_bytes(points),
	                               frame->wide, frame->high, words[points->colours]);
}

int map_html_write(const struct map_about *about, const struct map_points *points,
                   struct out_file *file)
{
	struct map_frame frame = map_frame_of(points);
	size_t length;
	const char *half = page_before(&length);
	int result = out_file_write(file, half, length);

	if (result == 0)
		result = write_meta(about, points, &frame, file);
	if (result == 0)
		result = write_places(file, points, &frame);
	if (result == 0)
		result = write_ids(file, "ids", points->ids, points->count, id_bytes(points));
	if (result == 0)
		result = write_ids(file, "others", points->others, points->other_count,
		                   id_bytes(points));
	if (result == 0)
		result = write_colours(file, points);
	if (result == 0)
		result = write_neighbours(file, points);
	half = page_behind(&length);
	return result < 0 ? result : out_file_write(file, half, length);
}
