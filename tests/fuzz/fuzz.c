#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_check(bool holds, const char *what, const char *file, int line)
{
	if (holds)
		return;
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

uint64_t fuzz_take(struct fuzz_input *input, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && input->size > 0; i++, input->data++, input->size--)
		value |= (uint64_t)*input->data << (8 * i);
	return value;
}

static int grow_by_holes(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	struct stat st;
	int r = self->stat(self, fd, &st);

	if (r == 0 && (uint64_t)st.st_size < offset + length)
		r = self->truncate(self, fd, offset + length);
	return r;
}

const struct quiver_io *fuzz_io(void)
{
	static struct quiver_io io;

	if (!io.open) {
		io = *quiver_io_posix();
		io.allocate = grow_by_holes;
	}
	return &io;
}

static char folder[FOLDER_PATH_BYTES];

static void remove_folder(void)
{
	folder_remove(folder);
}

const char *fuzz_folder(void)
{
	if (!folder[0]) {
		folder_make(folder);
		if (atexit(remove_folder) != 0)
			abort();
	}
	return folder;
}

int fuzz_put(struct quiver *store, uint32_t id, uint32_t version)
{
	static uint8_t bytes[FUZZ_BYTES];
	struct quiver_attr attr = world_attr(version);

	world_bytes(id, version, FUZZ_BYTES, bytes);
	return quiver_put(store, id, bytes, &attr, QUIVER_ATTR_ALL, 0, NULL);
}

void fuzz_store(bool killed, struct image *image, struct world *world)
{
	struct quiver_geometry geometry = { .dim = FUZZ_BYTES, .dtype = QUIVER_U1 };
	struct quiver_options options = { .io = fuzz_io() };
	char path[FOLDER_PATH_BYTES + 16];
	struct quiver *store;

	snprintf(path, sizeof(path), "%s/made", fuzz_folder());
	memset(world, 0, sizeof(*world));
	FUZZ_CHECK(quiver_create(path, &geometry, fuzz_io(), NULL) == 0);
	FUZZ_CHECK(quiver_open(path, &options, &store, NULL) == 0);
	for (uint32_t id = 1; id <= FUZZ_IDS; id++) {
		FUZZ_CHECK(fuzz_put(store, id, 1) == 0);
		world->ids[id] = (struct world_entry){ .version = 1, .origin = id, .attr = 1 };
	}
	FUZZ_CHECK(quiver_checkpoint(store) == 0);
	if (killed)
		image_load(image, path);
	FUZZ_CHECK(quiver_close(store) == 0);
	if (!killed)
		image_load(image, path);
	folder_remove(path);
}

bool fuzz_read_all(struct quiver *store)
{
	static uint8_t bytes[FUZZ_BYTES];
	struct quiver_list list;
	bool whole = true;

	FUZZ_CHECK(quiver_list(store, &list) == 0);
	for (size_t i = 0; i < list.count; i++) {
		int r = quiver_get_copy(store, list.ids[i], bytes, NULL, NULL);

		FUZZ_CHECK(r == 0 || r == -EIO || r == -ENOENT);
		whole = whole && r == 0;
	}
	quiver_list_free(&list);
	return whole;
}
