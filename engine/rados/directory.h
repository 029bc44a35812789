/*
 * directory.h - what the header tells of the collection as a directory: its attributes, label and
 * metric; and when vectors came or went.
 *
 * A write of the header for each vector that anybody creates would make one object of one OSD the
 * measure of all. So each client tells it at most once a second, behind the change: the directory's
 * mtime is above the time of a change within about a second after it, and at once for who asks
 * here. Where the cluster is slow it is told more rarely.
 */
#ifndef QUIVER_RADOS_DIRECTORY_H
#define QUIVER_RADOS_DIRECTORY_H

#include "engine/rados/collection.h"
#include "engine/rados/header_read.h"

/* As it has been read; before anything else asks. */
void directory_know(struct collection *collection, const struct found_header *found);

/* A call from here has created or removed vectors. Any thread; does not wait. */
void directory_changed(struct collection *collection);

/* For the keeper: tell the header what is to be told, where the time for it has come or this is the
 * last time. When it wants to be called again (CLOCK_MONOTONIC, ns), 0: not by itself. */
uint64_t directory_keep(struct collection *collection, bool is_last);

/* Calls of the kind; kind.h. */
int directory_attr(struct quiver *store, unsigned flags, struct quiver_attr *attr);
int directory_set_attr(struct quiver *store, const struct quiver_attr *attr, unsigned mask,
                       unsigned flags);
int directory_set_label(struct quiver *store, const char *text, size_t length);
int directory_set_metric(struct quiver *store, enum quiver_metric metric);
void directory_describe(struct quiver *store, struct quiver_description *description);

#endif
