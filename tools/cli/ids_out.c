/*
 * ids_out.c - the IDs of the rows that are exported, in a file beside them: .npy or .txt.
 */
#include "tools/cli/ids_out.h"
#include "engine/codec/npy.h"
#include "tools/cli/say.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* 20 digits, a newline and a NUL. */
#define LINE_BYTES 22

static bool ends_with(const char *path, const char *ending)
{
	size_t length = strlen(path), wanted = strlen(ending);

	return length > wanted && strcasecmp(path + length - wanted, ending) == 0;
}

bool ids_out_is_name(const char *path)
{
	return ends_with(path, ".npy") || ends_with(path, ".txt");
}

int ids_out_open(const char *path, struct apart *apart, struct ids_out *ids)
{
	ids->text = ends_with(path, ".txt");
	return out_file_open(path, 0, apart, &ids->file);
}

static int write_header(struct ids_out *ids, uint64_t count,
                        int (*write)(struct out_file *file, const void *bytes, size_t length))
{
	char header[NPY_WRITTEN_BYTES];
	int result = npy_format_header(header, "u8", count, 0);

	return result < 0 ? result : write(&ids->file, header, sizeof(header));
}

int ids_out_begin(struct ids_out *ids, uint64_t expected)
{
	return ids->text ? 0 : write_header(ids, expected, out_file_write);
}

int ids_out_write(struct ids_out *ids, uint64_t id)
{
	uint64_t little = htole64(id);
	char line[LINE_BYTES];

	if (!ids->text)
		return out_file_write(&ids->file, &little, sizeof(little));
	return out_file_write(&ids->file, line,
	                      (size_t)snprintf(line, sizeof(line), "%" PRIu64 "\n", id));
}

int ids_out_sync(struct ids_out *ids, uint64_t expected, uint64_t count)
{
	int result = 0;

	if (!ids->text && count != expected && out_file_can_restart(&ids->file)) {
		result = write_header(ids, count, out_file_write_start);
	} else if (!ids->text && count != expected) {
		say_error(ids->file.path,
		          "%" PRIu64 " vectors were removed during the export, so the header "
		          "promises too many IDs; export to a file, or export again",
		          expected - count);
		result = -ESTALE;
	}
	return result < 0 ? result : out_file_sync(&ids->file);
}
