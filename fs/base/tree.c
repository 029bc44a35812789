/* tree.c - names and node numbers. */
#include "fs/base/tree.h"

#include <string.h>

static const struct {
	uint64_t parent;
	uint64_t node;
	const char *name;
} fixed[] = {
	{ TREE_ROOT, TREE_VECTORS, "vectors" },
	{ TREE_ROOT, TREE_MATRIX, "matrix.npy" },
	{ TREE_ROOT, TREE_IDS, "ids.npy" },
	{ TREE_ROOT, TREE_CONTROL, "control" },
	{ TREE_ROOT, TREE_SNAPSHOTS, "snapshots" },
	{ TREE_ROOT, TREE_NEAREST, "nearest" },
	{ TREE_NEAREST, TREE_QUERY, "query" },
	{ TREE_CONTROL, TREE_FLUSH, "flush" },
	{ TREE_CONTROL, TREE_CHECKPOINT, "checkpoint" },
	{ TREE_CONTROL, TREE_COMPACT, "compact" },
	{ TREE_CONTROL, TREE_VERIFY, "verify" },
	{ TREE_CONTROL, TREE_PUT, "put" },
	{ TREE_CONTROL, TREE_GET, "get" },
	{ TREE_CONTROL, TREE_ASK_NEAREST, "nearest" },
	{ TREE_CONTROL, TREE_NEAREST_INDEX, "nearest_index" },
	{ TREE_CONTROL, TREE_DURABILITY, "durability" },
	{ TREE_CONTROL, TREE_RESERVE, "reserve" },
	{ TREE_CONTROL, TREE_AUTOCOMPACT_PERCENT, "autocompact_percent" },
	{ TREE_CONTROL, TREE_ERRORS, "errors" },
	{ TREE_CONTROL, TREE_STATS, "stats" },
	{ TREE_CONTROL, TREE_METRICS, "metrics" },
	{ TREE_CONTROL, TREE_DIM, "dim" },
	{ TREE_CONTROL, TREE_DTYPE, "dtype" },
	{ TREE_CONTROL, TREE_COUNT, "count" },
	{ TREE_CONTROL, TREE_SLOTS, "slots" },
	{ TREE_CONTROL, TREE_UUID, "uuid" },
	{ TREE_CONTROL, TREE_VERSION, "version" },
	{ TREE_CONTROL, TREE_FORMAT_VERSION, "format_version" },
	{ TREE_CONTROL, TREE_LABEL, "label" },
	{ TREE_CONTROL, TREE_METRIC, "metric" },
	{ TREE_CONTROL, TREE_SNAPSHOT_LIST, "snapshots" },
	{ TREE_CONTROL, TREE_LSN, "lsn" },
	{ TREE_CONTROL, TREE_CREATED, "created" },
	{ TREE_CONTROL, TREE_OWN_BYTES, "own_bytes" },
	{ TREE_CONTROL, TREE_SNAPSHOT_UUID, "snapshot_uuid" },
};

#define FIXED_COUNT (sizeof(fixed) / sizeof(fixed[0]))

_Static_assert(TREE_CONTROL_END <= TREE_VECTOR_BASE, "control files run into the vectors");
_Static_assert(FIXED_COUNT == TREE_CONTROL_END - TREE_CONTROL_FIRST + 7,
               "a fixed node has no name");
_Static_assert(TREE_SCRATCH_BASE > QUIVER_ID_MAX, "vectors run into the scratch files");
_Static_assert(TREE_SCRATCH_COUNT > TREE_VIEW_COUNT / 2, "no numbers for scratch files");

enum tree_class tree_class(uint64_t node)
{
	if (node >= TREE_INSIDE_BASE)
		return node == UINT64_MAX ? TREE_IS_NOTHING : TREE_IS_INSIDE;
	if (node >= TREE_VIEW_BASE)
		return TREE_IS_VIEW;
	if (node >= TREE_FOLDER_BASE)
		return TREE_IS_FOLDER;
	if (node >= TREE_NEIGHBOURS_BASE)
		return TREE_IS_NEIGHBOURS;
	if (node >= TREE_SCRATCH_BASE)
		return TREE_IS_SCRATCH;
	if (node >= TREE_VECTOR_BASE)
		return TREE_IS_VECTOR;
	if (node >= TREE_CONTROL_FIRST)
		return node < TREE_CONTROL_END ? TREE_IS_CONTROL : TREE_IS_NOTHING;
	if (node == TREE_MATRIX || node == TREE_IDS)
		return TREE_IS_MATRIX;
	if (node == TREE_SNAPSHOTS)
		return TREE_IS_SNAPSHOTS;
	if (node == TREE_QUERY)
		return TREE_IS_NEIGHBOURS;
	if (node == TREE_ROOT || node == TREE_VECTORS || node == TREE_CONTROL ||
	    node == TREE_NEAREST)
		return TREE_IS_DIR;
	return TREE_IS_NOTHING;
}

bool tree_is_fleeting(uint64_t node)
{
	enum tree_class class = tree_class(node);

	return class == TREE_IS_VIEW || (class == TREE_IS_NEIGHBOURS && node != TREE_QUERY);
}

bool tree_parse_id(const char *name, uint64_t *id)
{
	uint64_t value = 0;

	if (name[0] == '\0' || (name[0] == '0' && name[1] != '\0'))
		return false;
	for (const char *p = name; *p != '\0'; p++) {
		uint64_t digit;

		if (*p < '0' || *p > '9')
			return false;
		digit = (uint64_t)(*p - '0');
		if (value > (QUIVER_ID_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*id = value;
	return true;
}

unsigned tree_format_id(uint64_t id, char text[static TREE_ID_TEXT_BYTES])
{
	char digits[TREE_ID_TEXT_BYTES];
	unsigned length = 0;

	do {
		digits[length++] = (char)('0' + id % 10);
		id /= 10;
	} while (id != 0);
	for (unsigned i = 0; i < length; i++)
		text[i] = digits[length - 1 - i];
	text[length] = '\0';
	return length;
}

static const char *const suffixes[] = {
	[TREE_FORM_NPY] = ".npy",
	[TREE_FORM_TXT] = ".txt",
	[TREE_FORM_SAME] = "",
};
#define SUFFIX_BYTES 4u
/* Those that have one: the first. */
#define NAMED_FORMS TREE_FORM_SAME

bool tree_parse_view(const char *name, uint64_t *id, enum tree_form *form)
{
	size_t length = strlen(name);
	char digits[TREE_ID_TEXT_BYTES];

	if (length <= SUFFIX_BYTES || length - SUFFIX_BYTES >= sizeof(digits))
		return false;
	length -= SUFFIX_BYTES;
	memcpy(digits, name, length);
	digits[length] = '\0';
	for (unsigned i = 0; i < NAMED_FORMS; i++) {
		if (strcmp(name + length, suffixes[i]) == 0) {
			*form = (enum tree_form)i;
			return tree_parse_id(digits, id);
		}
	}
	return false;
}

void tree_format_view(uint64_t id, enum tree_form form, char name[static TREE_VIEW_NAME_BYTES])
{
	unsigned length = tree_format_id(id, name);

	memcpy(name + length, suffixes[form], strlen(suffixes[form]) + 1);
}

const char *tree_form_suffix(enum tree_form form)
{
	return suffixes[form];
}

uint64_t tree_view_inode(uint64_t id, enum tree_form form)
{
	/* Steps that can all be undone, so that no two IDs meet. */
	uint64_t mixed = (id ^ (UINT64_C(0xA5A5A5A5) << (8 * form))) * UINT64_C(0x9E3779B97F4A7C15);

	if (form == TREE_FORM_SAME)
		return tree_node_of_id(id);
	mixed = (mixed ^ mixed >> 32) * UINT64_C(0xD6E8FEB86659FD93);
	return mixed ^ mixed >> 32;
}

#define QUERY "query"
#define NEIGHBOURS_NAME_BYTES 32u /* 20 digits, a dot, seven digits */

bool tree_parse_neighbours(const char *name, uint64_t *id, uint32_t *k)
{
	char before[NEIGHBOURS_NAME_BYTES];
	const char *dot = strchr(name, '.');
	size_t length = dot != NULL ? (size_t)(dot - name) : strlen(name);
	uint64_t count = TREE_NEIGHBOURS_K;

	if (length >= sizeof(before))
		return false;
	memcpy(before, name, length);
	before[length] = '\0';
	if (dot != NULL && !tree_parse_id(dot + 1, &count))
		return false;
	if (count == 0 || count > QUIVER_NEAREST_MAX)
		return false;
	*k = (uint32_t)count;
	*id = QUIVER_ID_NONE;
	return strcmp(before, QUERY) == 0 || tree_parse_id(before, id);
}

uint64_t tree_neighbours_inode(uint64_t id, uint32_t k)
{
	uint64_t mixed = id * UINT64_C(0x9E3779B97F4A7C15) + k;

	mixed = (mixed ^ mixed >> 32) * UINT64_C(0xD6E8FEB86659FD93);
	return mixed ^ mixed >> 32;
}

uint64_t tree_find(uint64_t parent, const char *name)
{
	for (size_t i = 0; i < FIXED_COUNT; i++) {
		if (fixed[i].parent == parent && strcmp(fixed[i].name, name) == 0)
			return fixed[i].node;
	}
	return TREE_NONE;
}

uint64_t tree_parent(uint64_t node)
{
	switch (tree_class(node)) {
	case TREE_IS_VECTOR:
	case TREE_IS_SCRATCH:
	case TREE_IS_FOLDER:
	case TREE_IS_VIEW:
		return TREE_VECTORS;
	case TREE_IS_CONTROL:
		return TREE_CONTROL;
	case TREE_IS_NEIGHBOURS:
		return TREE_NEAREST;
	case TREE_IS_DIR:
	case TREE_IS_MATRIX:
	case TREE_IS_SNAPSHOTS:
		return TREE_ROOT;
	default:
		return TREE_NONE;
	}
}

const char *tree_name(uint64_t node)
{
	for (size_t i = 0; i < FIXED_COUNT; i++) {
		if (fixed[i].node == node)
			return fixed[i].name;
	}
	return NULL;
}
