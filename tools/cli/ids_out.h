/*
 * ids_out.h - the IDs of the rows that are exported, in a file beside them: .npy or .txt.
 */
#ifndef IDS_OUT_H
#define IDS_OUT_H

#include "tools/cli/out_file.h"

#include <stdbool.h>
#include <stdint.h>

struct ids_out {
	struct out_file file; /* path NULL: not open */
	bool text; /* a line each, in decimal */
};

/* Whether the ending of a name tells how IDs are written there. */
bool ids_out_is_name(const char *path);

/* Prepare to write IDs to `path`, which ids_out_is_name; as out_file_open. Nothing is written. */
int ids_out_open(const char *path, struct apart *apart, struct ids_out *ids);

/* Write the header for so many IDs; of text, nothing. Says errors. */
int ids_out_begin(struct ids_out *ids, uint64_t expected);

/* Append one. Says errors. */
int ids_out_write(struct ids_out *ids, uint64_t id);

/* Put the header right for `count` IDs, and bring all to stable storage. -ESTALE where it promises
 * more, and cannot be written again. Says errors. */
int ids_out_sync(struct ids_out *ids, uint64_t expected, uint64_t count);

#endif
