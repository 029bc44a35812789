/*
 * tree.h - names and node numbers.
 *
 * A node number is derived from what it names, never from a table: the daemon
 * remembers nothing about what the kernel caches, and numbers are stable for ever.
 *
 *   1                     the root
 *   2 .. 63               fixed nodes: directories, views, control files
 *   64 .. 2^64-2^32+63    vectors, ID + 64
 *   above, nearly 2^31    scratch files, by a counter
 *   above, 2^28           nearest/ID.K and nearest/query.K, by another: fs/nearest
 *   above, 2^24           folders of scratch files, by a third
 *   above, 2^30           views of vectors (ID.npy, ID.txt, and ID where it needs a
 *                         second node), by a fourth: view.h
 *   above, nearly 2^30    all that is in a snapshot, from a table: inside.h
 *
 * st_ino is the node number, but for views and files of nearest/, where it derives from the ID, and in a
 * snapshot: attr.h.
 */
#ifndef TREE_H
#define TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/quiver.h"

enum tree_node {
	TREE_NONE = 0,
	TREE_ROOT = 1,
	TREE_VECTORS = 2,
	TREE_CONTROL = 3,
	TREE_MATRIX = 4,
	TREE_IDS = 5,
	TREE_SNAPSHOTS = 6,
	TREE_NEAREST = 7,
	TREE_QUERY = 8, /* nearest/query; query.K is another */

	TREE_CONTROL_FIRST = 16,
	TREE_FLUSH = TREE_CONTROL_FIRST,
	TREE_CHECKPOINT,
	TREE_COMPACT,
	TREE_VERIFY,
	TREE_PUT,
	TREE_GET,
	TREE_ASK_NEAREST,
	TREE_NEAREST_INDEX,
	TREE_DURABILITY,
	TREE_RESERVE,
	TREE_AUTOCOMPACT_PERCENT,
	TREE_ERRORS,
	TREE_STATS,
	TREE_METRICS,
	TREE_DIM,
	TREE_DTYPE,
	TREE_COUNT,
	TREE_SLOTS,
	TREE_UUID,
	TREE_VERSION,
	TREE_FORMAT_VERSION,
	TREE_LABEL,
	TREE_METRIC,
	TREE_SNAPSHOT_LIST,
	TREE_LSN, /* these four are of a snapshot */
	TREE_CREATED,
	TREE_OWN_BYTES,
	TREE_SNAPSHOT_UUID,
	TREE_CONTROL_END, /* one past the last */

	TREE_VECTOR_BASE = 64,
};

#define TREE_SCRATCH_BASE (QUIVER_ID_MAX + 1 + TREE_VECTOR_BASE)
#define TREE_VIEW_BASE (UINT64_MAX - (UINT64_C(1) << 31))
#define TREE_FOLDER_COUNT (UINT64_C(1) << 24)
#define TREE_FOLDER_BASE (TREE_VIEW_BASE - TREE_FOLDER_COUNT)
#define TREE_NEIGHBOURS_COUNT (UINT64_C(1) << 28)
#define TREE_NEIGHBOURS_BASE (TREE_FOLDER_BASE - TREE_NEIGHBOURS_COUNT)
#define TREE_SCRATCH_COUNT (TREE_NEIGHBOURS_BASE - TREE_SCRATCH_BASE)
#define TREE_VIEW_COUNT (UINT64_C(1) << 30)
#define TREE_INSIDE_BASE (TREE_VIEW_BASE + TREE_VIEW_COUNT)
/* UINT64_MAX itself is left out. */
#define TREE_INSIDE_COUNT (UINT64_MAX - TREE_INSIDE_BASE)

enum tree_class {
	TREE_IS_DIR, /* root, vectors, control, nearest */
	TREE_IS_MATRIX, /* matrix.npy, ids.npy */
	TREE_IS_CONTROL, /* a file of control/ */
	TREE_IS_VECTOR,
	TREE_IS_SCRATCH,
	TREE_IS_FOLDER, /* of scratch files, in vectors/ */
	TREE_IS_VIEW, /* a vector in another form */
	TREE_IS_NEIGHBOURS, /* a file of nearest/ */
	TREE_IS_SNAPSHOTS, /* the folder of that name */
	TREE_IS_INSIDE, /* a snapshot, and whatever is in it */
	TREE_IS_NOTHING,
	TREE_CLASSES,
};

/* The forms in which a vector can be had besides its bytes. */
enum tree_form {
	TREE_FORM_NPY, /* ID.npy */
	TREE_FORM_TXT, /* ID.txt */
	TREE_FORM_SAME, /* ID itself, by another node: gone.h */
};

/* 20 digits of a uint64 and the NUL. */
#define TREE_ID_TEXT_BYTES 21
/* The same with a dot and three letters. */
#define TREE_VIEW_NAME_BYTES 25

enum tree_class tree_class(uint64_t node);
/* Whether what `node` names is remembered in a table, and means nothing to another mount, or to a
 * snapshot that was opened anew. */
bool tree_is_fleeting(uint64_t node);

static inline uint64_t tree_node_of_id(uint64_t id)
{
	return id + TREE_VECTOR_BASE;
}

static inline uint64_t tree_id_of_node(uint64_t node)
{
	return node - TREE_VECTOR_BASE;
}

/* The ID that `name` is the canonical form of, in *id; false for anything else. */
bool tree_parse_id(const char *name, uint64_t *id);

/* The decimal form of `id` in `text`; its length. */
unsigned tree_format_id(uint64_t id, char text[static TREE_ID_TEXT_BYTES]);

/* The vector and the form that `name` is a view of; false for anything else. */
bool tree_parse_view(const char *name, uint64_t *id, enum tree_form *form);
void tree_format_view(uint64_t id, enum tree_form form, char name[static TREE_VIEW_NAME_BYTES]);
/* ".npy", ".txt", "". Static strings. */
const char *tree_form_suffix(enum tree_form form);
/* The st_ino of a view: one for each ID and form, for ever. */
uint64_t tree_view_inode(uint64_t id, enum tree_form form);

/* Neighbours where a name does not say how many. */
#define TREE_NEIGHBOURS_K 10u
/* What `name` in nearest/ asks for: the neighbours of *id, or of what is written where that is
 * QUIVER_ID_NONE ("query"), and how many. False for anything else. */
bool tree_parse_neighbours(const char *name, uint64_t *id, uint32_t *k);
/* The st_ino of that file: one for each ID of those with the same k, and hardly any for two with others. */
uint64_t tree_neighbours_inode(uint64_t id, uint32_t k);

/* The fixed node called `name` in the directory `parent` (TREE_ROOT or
 * TREE_CONTROL), TREE_NONE where there is none. */
uint64_t tree_find(uint64_t parent, const char *name);

/* The folder that `node` is in; TREE_NONE where it is no node. A scratch file may be in another than
 * TREE_VECTORS, which it says here: scratch_parent. */
uint64_t tree_parent(uint64_t node);

/* The name of a fixed node other than the root; a static string, or NULL. */
const char *tree_name(uint64_t node);

#endif
