/*
 * map_html.h - a map as one page of HTML, which needs nothing else.
 */
#ifndef MAP_HTML_H
#define MAP_HTML_H

#include "tools/cli/map_about.h"
#include "tools/cli/map_points.h"
#include "tools/cli/out_file.h"

/* Says errors. */
int map_html_write(const struct map_about *about, const struct map_points *points,
                   struct out_file *file);

#endif
