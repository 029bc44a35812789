/*
 * map_about.h - what a map says of itself.
 */
#ifndef MAP_ABOUT_H
#define MAP_ABOUT_H

#include "tools/cli/map_other.h"
#include "tools/cli/map_points.h"

#define MAP_NOTES_MAX 6u
#define MAP_NOTE_BYTES 256u

struct map_about {
	const char *name; /* of the store, UTF-8 or not */
	char about[MAP_NOTE_BYTES]; /* one line */
	char notes[MAP_NOTES_MAX][MAP_NOTE_BYTES];
	size_t note_count;
};

/* Tell what is on the map of the store at `path`, whose end becomes its name and is kept. */
void map_about_make(const char *path, const struct quiver_geometry *geometry,
                    enum map_method method, const struct map_points *points,
                    struct map_about *about);

/* A number with a comma between thousands, to `to`. */
#define MAP_NUMBER_BYTES 28u
const char *map_number(uint64_t number, char to[MAP_NUMBER_BYTES]);

/* The text as a string of JSON that a page of HTML can hold: what is no UTF-8 becomes '?', and what a page
 * would take for markup is escaped. malloc'd; NULL without memory. */
char *map_quote(const char *text);

#endif
