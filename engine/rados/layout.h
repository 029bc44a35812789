/*
 * layout.h - what the objects of a collection are called, and where in them a vector lies;
 * FORMAT.md.
 */
#ifndef QUIVER_RADOS_LAYOUT_H
#define QUIVER_RADOS_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COLLECTION_NAME_BYTES_MAX 64u
/* Of every object's name with its NUL: the collection's, ".lost+found.", 16 digits, a number. */
#define OBJECT_NAME_BYTES (COLLECTION_NAME_BYTES_MAX + 48u)
#define KEY_BYTES 4u /* of a vector's omap key; it has no NUL in RADOS */
#define KEY_REMOVED "removed"
#define KEY_REMOVED_BYTES 7u

#define SLOTS_MAX 1024u

/* How vectors lie in objects; fixed when a collection is made. */
struct layout {
	uint32_t vector_bytes; /* N */
	uint32_t stride; /* bytes from one slot to the next */
	uint32_t slots; /* S: vectors in one object */
};

/* `vector_bytes`: 1 ... QUIVER_VECTOR_BYTES_MAX. */
void layout_make(uint32_t vector_bytes, bool sparse, struct layout *layout);
/* Whether layout_make makes it. */
bool layout_is_valid(const struct layout *layout);

static inline uint64_t layout_object(const struct layout *layout, uint64_t id)
{
	return id / layout->slots;
}

static inline uint32_t layout_slot(const struct layout *layout, uint64_t id)
{
	return (uint32_t)(id % layout->slots);
}

static inline uint64_t layout_offset(const struct layout *layout, uint64_t id)
{
	return (uint64_t)layout_slot(layout, id) * layout->stride;
}

/* Bytes from the first slot to the end of the last vector. */
static inline uint64_t layout_object_bytes(const struct layout *layout)
{
	return (uint64_t)(layout->slots - 1) * layout->stride + layout->vector_bytes;
}

/* [A-Za-z0-9_-]{1,64} */
bool layout_name_is_valid(const char *name, size_t length);

/* Names of objects; `to` gets them with their NUL. */
void layout_header_name(const char *collection, char to[OBJECT_NAME_BYTES]);
void layout_object_name(const char *collection, uint64_t object, char to[OBJECT_NAME_BYTES]);
/* `number` 1 has none behind it. */
void layout_lost_name(const char *collection, uint64_t id, unsigned number,
                      char to[OBJECT_NAME_BYTES]);

enum layout_what {
	LAYOUT_OTHER, /* nothing of a collection's */
	LAYOUT_HEADER,
	LAYOUT_DATA, /* *object is its number */
	LAYOUT_LOST, /* moved aside by a repair */
};
/* What an object is by its name of `length` bytes, which need not end with a NUL, and how many of
 * them are the collection's name: 0 of LAYOUT_OTHER. `object` may be NULL. */
enum layout_what layout_parse(const char *name, size_t length, size_t *collection_bytes,
                              uint64_t *object);
/* The same of one collection: LAYOUT_OTHER where it is another's. */
enum layout_what layout_parse_of(const char *collection, const char *name, size_t length,
                                 uint64_t *object);

/* The omap key of a slot; no NUL. */
void layout_key(uint32_t slot, char to[KEY_BYTES]);
/* The slot of a key of `length` bytes; -1 where it is the key of no slot below `slots`. */
int layout_key_slot(const char *key, size_t length, uint32_t slots);

#endif
