/*
 * map_svg.c - a map as a picture, in SVG, for light and for dark ground.
 */
#include "tools/cli/map_svg.h"
#include "tools/cli/map_frame.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the picture, and of what stands around the points. */
#define WIDTH 1000.0
#define HEIGHT 760.0
#define MARGIN 28.0
#define TOP 76.0
#define LEGEND 230.0
#define LEGEND_LINE 20.0
#define LINE_BYTES 640u
/* Labels, and how much room each takes. */
#define LABELS_MAX 60u
#define LABEL_HIGH 17.0
#define LETTER_WIDE 7.0
/* Of a label, and of a name in the legend, that is shown: characters. */
#define LABEL_LETTERS 24u
#define NAME_LETTERS 28u
#define SHADES 9u

/* Okabe and Ito's colours, with two more, for light ground and for dark; and viridis. The page has the same. */
static const char *const light[] = { "#0072B2", "#E69F00", "#009E73", "#CC79A7",
	                             "#D55E00", "#56B4E9", "#B8A500", "#7F6BC4" };
static const char *const dark[] = { "#4BA3E3", "#F2B134", "#2FC79A", "#E79CC2",
	                            "#F27A3A", "#8AD0FA", "#EFE35A", "#A798E8" };
#define COLOURS (sizeof(light) / sizeof(light[0]))
static const char *const shades[SHADES] = { "#440154", "#472c7b", "#3b518b", "#2c718e", "#21908d",
	                                    "#27ad81", "#5cc863", "#aadc32", "#fde725" };

struct picture {
	struct out_file *file;
	const struct map_points *points;
	struct map_frame frame;
	double scale, left, bottom; /* pixels of the frame, and where its corner is */
	double radius;
	size_t drawn;
};

struct box {
	double x, y, wide;
};

__attribute__((format(printf, 2, 3))) static int write_line(struct picture *picture,
                                                            const char *format, ...)
{
	char line[LINE_BYTES];
	va_list values;

	va_start(values, format);
	(void)vsnprintf(line, sizeof(line), format, values);
	va_end(values);
	return out_file_write(picture->file, line, strlen(line));
}

/* ---- text ------------------------------------------------------------------ */

static bool is_utf8(const unsigned char *text)
{
	while (*text != '\0') {
		size_t more = *text < 0x80                    ? 0
		              : *text >= 0xc2 && *text < 0xe0 ? 1
		              : *text >= 0xe0 && *text < 0xf0 ? 2
		              : *text >= 0xf0 && *text < 0xf5 ? 3
		                                              : SIZE_MAX;
		unsigned char first = text[0], second = text[1];

		if (more == SIZE_MAX || (first == 0xe0 && second < 0xa0) ||
		    (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
		    (first == 0xf4 && second > 0x8f))
			return false;
		for (text++; more > 0; more--, text++) {
			if ((*text & 0xc0) != 0x80)
				return false;
		}
	}
	return true;
}

/* A text as XML can hold it, of at most `letters` characters; what is no UTF-8 or no character of a text
 * becomes '?'. */
static void escape(const char *text, size_t letters, char *to, size_t size)
{
	bool good = is_utf8((const unsigned char *)text);
	size_t used = 0;

	for (; *text != '\0' && used + 12 < size; text++) {
		unsigned char byte = (unsigned char)*text;

		if ((byte & 0xc0) != 0x80 && letters-- == 0) {
			used += (size_t)snprintf(to + used, size - used, "\xe2\x80\xa6");
			break;
		}
		if (byte == '<' || byte == '>' || byte == '&' || byte == '"' || byte == '\'')
			used += (size_t)snprintf(to + used, size - used, "&#%d;", byte);
		else
			to[used++] = byte < 0x20 || byte == 0x7f || (!good && byte >= 0x80) ? '?'
			                                                                    : *text;
	}
	to[used] = '\0';
}

static size_t letters_of(const char *text, size_t most)
{
	size_t count = 0;

	for (; *text != '\0' && count < most; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static int write_head(struct picture *picture, const struct map_about *about)
{
	char name[LINE_BYTES / 2], line[LINE_BYTES / 2];
	int result;

	escape(about->name, 60, name, sizeof(name));
	escape(about->about, 120, line, sizeof(line));
	result = write_line(picture,
	                    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" "
	                    "role=\"img\">\n<title>%s</title>\n<desc>%s</desc>\n<style>\n"
	                    "text{font-family:system-ui,'DejaVu Sans',sans-serif;fill:#1d2330}\n",
	                    WIDTH, HEIGHT, name, line);
	for (size_t i = 0; result == 0 && i < COLOURS; i++)
		result = write_line(picture, ".g%zu{fill:%s}", i, light[i]);
	for (size_t i = 0; result == 0 && i < SHADES; i++)
		result = write_line(picture, ".s%zu{fill:%s}", i, shades[i]);
	if (result == 0)
		result = write_line(picture, "\n.n{fill:#9ea2aa}.b{fill:#faf9f6}.q{fill:#5a6272}"
		                             ".p{fill-opacity:.72}.l{font-size:12px;stroke:#faf9f6;"
		                             "stroke-width:3px;paint-order:stroke;"
		                             "stroke-linejoin:round}\n"
		                             "@media(prefers-color-scheme:dark){text{fill:#e9ecf2}"
		                             ".n{fill:#707886}.b{fill:#11141a}.q{fill:#a2abbb}"
		                             ".l{stroke:#11141a}\n");
	for (size_t i = 0; result == 0 && i < COLOURS; i++)
		result = write_line(picture, ".g%zu{fill:%s}", i, dark[i]);
	if (result == 0)
		result = write_line(picture,
		                    ".s0{fill:#5b3a86}}\n</style>\n"
		                    "<rect class=\"b\" width=\"%g\" height=\"%g\"/>\n",
		                    WIDTH, HEIGHT);
	if (result == 0)
		result = write_line(picture,
		                    "<text x=\"%g\" y=\"38\" font-size=\"22\" "
		                    "font-weight=\"650\">%s</text>\n",
		                    MARGIN, name);
	return result < 0 ? result
	                  : write_line(picture,
	                               "<text class=\"q\" x=\"%g\" y=\"59\" "
	                               "font-size=\"14\">%s</text>\n",
	                               MARGIN, line);
}

/* ---- points ------------------------------------------------------------------ */

static double x_of(const struct picture *picture, size_t index)
{
	return picture->left +
	       picture->scale * map_frame_x(&picture->frame, picture->points, index);
}

static double y_of(const struct picture *picture, size_t index)
{
	return picture->bottom -
	       picture->scale * map_frame_y(&picture->frame, picture->points, index);
}

/* The class of a point, by which it has its colour. */
static void class_of(const struct map_points *points, size_t index, char to[8])
{
	if (points->colours == MAP_SCALED && !isnan(points->numbers[index]))
		(void)snprintf(
			to, 8, "s%u",
			(unsigned)lrint((SHADES - 1) * map_share(points, points->numbers[index])));
	else if (points->colours == MAP_PLAIN)
		(void)snprintf(to, 8, "g0");
	else if (points->colours == MAP_SCALED || points->groups[index] >= MAP_GROUPS_MAX)
		(void)snprintf(to, 8, "n");
	else
		(void)snprintf(to, 8, "g%u", (unsigned)(points->groups[index] % COLOURS));
}

/* A mark of a group: the first that have a colour are circles, the next lozenges, squares, triangles. */
static int write_mark(struct picture *picture, const char *class, size_t group, double x, double y,
                      double r)
{
	switch (group / COLOURS % 4) {
	case 1:
		return write_line(picture,
		                  "<path class=\"%s\" d=\"M%.1f %.1fl%.1f %.1f %.1f %.1f %.1f "
		                  "%.1fz\"/>\n",
		                  class, x, y - 1.25 * r, 1.25 * r, 1.25 * r, -1.25 * r, 1.25 * r,
		                  -1.25 * r, -1.25 * r);
	case 2:
		return write_line(picture,
		                  "<path class=\"%s\" d=\"M%.1f %.1fh%.1fv%.1fh%.1fz\"/>\n", class,
		                  x - r * 0.9, y - r * 0.9, 1.8 * r, 1.8 * r, -1.8 * r);
	case 3:
		return write_line(picture,
		                  "<path class=\"%s\" d=\"M%.1f %.1fl%.1f %.1fh%.1fz\"/>\n", class,
		                  x, y - 1.2 * r, 1.15 * r, 2.1 * r, -2.3 * r);
	default:
		return write_line(picture,
		                  "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n",
		                  class, x, y, r);
	}
}

static size_t group_of(const struct map_points *points, size_t index)
{
	if (points->colours != MAP_GROUPED || points->groups[index] >= MAP_GROUPS_MAX)
		return 0;
	return points->groups[index];
}

/* The point that is drawn as number `at`: those of a group would else hide those of others. */
static size_t spread(const struct picture *picture, size_t at)
{
	return (size_t)((double)at * (double)picture->points->count / (double)picture->drawn);
}

static int write_points(struct picture *picture)
{
	char class[8];
	int result = write_line(picture, "<g class=\"p\">\n");

	for (size_t at = 0; result == 0 && at < picture->drawn; at++) {
		size_t i = spread(picture, at);

		class_of(picture->points, i, class);
		result = write_mark(picture, class, group_of(picture->points, i), x_of(picture, i),
		                    y_of(picture, i), picture->radius);
	}
	return result < 0 ? result : write_line(picture, "</g>\n");
}

/* Whether a label has room beside those that are there. */
static bool is_free(const struct box *boxes, size_t count, const struct box *box)
{
	for (size_t i = 0; i < count; i++) {
		if (fabs(boxes[i].y - box->y) < LABEL_HIGH && box->x < boxes[i].x + boxes[i].wide &&
		    boxes[i].x < box->x + box->wide)
			return false;
	}
	return true;
}

/* Labels of some points, where they do not hide each other. */
static int write_labels(struct picture *picture)
{
	const struct map_points *points = picture->points;
	struct box boxes[LABELS_MAX];
	char text[LINE_BYTES / 2];
	size_t count = 0, step = points->count > 0 ? 7919 % points->count : 0, i = 0;
	int result = 0;

	for (size_t n = 0; n < points->count && count < LABELS_MAX && result == 0; n++) {
		struct box *box = &boxes[count];

		i = (i + (step > 0 ? step : 1)) % points->count;
		if (points->labels == NULL || points->labels[i] == NULL)
			continue;
		box->x = x_of(picture, i) + picture->radius + 3;
		box->y = y_of(picture, i) + 4;
		box->wide = 6 + LETTER_WIDE * (double)letters_of(points->labels[i], LABEL_LETTERS);
		if (box->x + box->wide > WIDTH || !is_free(boxes, count, box))
			continue;
		escape(points->labels[i], LABEL_LETTERS, text, sizeof(text));
		result = write_line(picture, "<text class=\"l\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
		                    box->x, box->y, text);
		count++;
	}
	return result;
}

/* ---- legend, and what is said --------------------------------------------------- */

static int write_groups(struct picture *picture, double x, double y)
{
	const struct map_points *points = picture->points;
	char text[LINE_BYTES / 2], class[8];
	int result = 0;

	for (size_t i = 0; result == 0 && i < points->name_count; i++, y += LEGEND_LINE) {
		(void)snprintf(class, sizeof(class), "g%zu", i % COLOURS);
		escape(points->names[i], NAME_LETTERS, text, sizeof(text));
		result = write_mark(picture, i < MAP_GROUPS_MAX ? class : "n",
		                    i < MAP_GROUPS_MAX ? i : 0, x + 5, y - 4, 5);
		if (result == 0)
			result = write_line(picture,
			                    "<text x=\"%g\" y=\"%g\" font-size=\"13\">%s</text>\n",
			                    x + 18, y, text);
	}
	return result;
}

static int write_scale(struct picture *picture, double x, double y)
{
	const struct map_points *points = picture->points;
	int result = 0;

	for (size_t i = 0; result == 0 && i < SHADES; i++)
		result = write_line(picture,
		                    "<rect class=\"s%zu\" x=\"%g\" y=\"%g\" width=\"20\" "
		                    "height=\"12\"/>\n",
		                    i, x + 20 * (double)i, y - 10);
	if (result < 0 || !(points->least <= points->most))
		return result;
	return write_line(picture,
	                  "<text x=\"%g\" y=\"%g\" font-size=\"12\">%.4g</text><text x=\"%g\" "
	                  "y=\"%g\" font-size=\"12\" text-anchor=\"end\">%.4g</text>\n",
	                  x, y + 18, points->least, x + 20 * SHADES, y + 18, points->most);
}

static int write_legend(struct picture *picture)
{
	double x = WIDTH - LEGEND, y = TOP + 14;
	char text[LINE_BYTES / 2];
	int result = 0;

	if (picture->points->colours == MAP_PLAIN)
		return 0;
	escape(picture->points->colour_title, NAME_LETTERS, text, sizeof(text));
	result = write_line(picture,
	                    "<text class=\"q\" x=\"%g\" y=\"%g\" font-size=\"13\" "
	                    "font-weight=\"600\">%s</text>\n",
	                    x, y, text);
	if (result < 0)
		return result;
	return picture->points->colours == MAP_GROUPED ? write_groups(picture, x, y + 24)
	                                               : write_scale(picture, x, y + 22);
}

/* How large the points are, and where. */
static void lay_out(struct picture *picture)
{
	bool legend = picture->points->colours != MAP_PLAIN;
	double wide = WIDTH - 2 * MARGIN - (legend ? LEGEND : 0), high = HEIGHT - TOP - MARGIN;
	double most = fmax(picture->frame.wide / wide, picture->frame.high / high);

	picture->scale = most > 0 ? 1 / most : 1;
	picture->left = MARGIN + (wide - picture->scale * picture->frame.wide) / 2;
	picture->bottom = TOP + (high + picture->scale * picture->frame.high) / 2;
	picture->radius = fmin(6, fmax(1.3, 14 / pow((double)picture->drawn + 10, 0.235)));
}

int map_svg_write(const struct map_about *about, const struct map_points *points,
                  struct out_file *file)
{
	struct picture picture = { .file = file,
		                   .points = points,
		                   .frame = map_frame_of(points),
		                   .drawn = points->count < MAP_SVG_MAX ? points->count
		                                                        : MAP_SVG_MAX };
	int result;

	lay_out(&picture);
	result = write_head(&picture, about);
	if (result == 0)
		result = write_points(&picture);
	if (result == 0)
		result = write_labels(&picture);
	if (result == 0)
		result = write_legend(&picture);
	return result < 0 ? result : write_line(&picture, "</svg>\n");
}
