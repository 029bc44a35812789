#include "engine/index/catalog.h"

#include "engine/disk/columns_private.h"

void catalog_init(struct catalog *catalog, struct health *health)
{
	catalog->health = health;
	catalog->list_whole_max = CATALOG_LIST_WHOLE_MAX;
	pthread_mutex_init(&catalog->writer_lock, NULL);
	pthread_mutex_init(&catalog->publish_lock, NULL);
	pthread_mutex_init(&catalog->list_lock, NULL);
	pthread_mutex_init(&catalog->fill_lock, NULL);
	attr_deltas_init(&catalog->attr_deltas);
	versions_init(&catalog->versions, &catalog->writer_lock);
}

/* Maps of the slots that the columns have room for. */
static int open_maps(struct catalog *catalog)
{
	int r = slots_init(&catalog->slots, catalog->columns.rows_max);

	if (r == 0)
		r = attr_deltas_open(&catalog->attr_deltas, catalog->columns.rows_max);
	if (r == 0)
		r = residency_init(&catalog->residency);
	if (r == 0)
		r = readers_init(&catalog->readers);
	if (r == 0)
		r = slots_set_rows(&catalog->slots, atomic_load(&catalog->columns.rows));
	return r;
}

int catalog_open(struct catalog *catalog, const struct quiver_io *io, int dir_fd,
                 const struct quiver_geometry *geometry, uint32_t version, uint64_t slots_used,
                 bool read_only, struct quiver_error *error)
{
	int r = columns_open(&catalog->columns, io, dir_fd, geometry, version, slots_used,
	                     read_only, error);

	if (r)
		return r;
	catalog->opened = true;
	catalog->versions.vector_bytes = catalog->columns.geometry.vector_bytes;
	versions_file_init(&catalog->versions.file, io, dir_fd, geometry->uuid);
	index_keep_init(&catalog->keep, io, dir_fd, &catalog->slots.live_changed);
	return open_maps(catalog);
}

int catalog_open_private(struct catalog *catalog, const struct quiver_io *io, int dir_fd,
                         const struct quiver_geometry *geometry, uint64_t rows,
                         struct quiver_error *error)
{
	int r = columns_open_private(&catalog->columns, io, dir_fd, geometry, rows, error);

	catalog->opened = true; /* as far as it came */
	return r ? r : open_maps(catalog);
}

int catalog_close(struct catalog *catalog)
{
	return catalog->opened ? columns_close(&catalog->columns) : 0;
}

void catalog_destroy(struct catalog *catalog)
{
	index_destroy(&catalog->index);
	readers_destroy(&catalog->readers);
	published_free(&catalog->published);
	residency_destroy(&catalog->residency);
	slots_destroy(&catalog->slots);
	attr_deltas_destroy(&catalog->attr_deltas);
	versions_destroy(&catalog->versions);
	pthread_mutex_destroy(&catalog->writer_lock);
	pthread_mutex_destroy(&catalog->publish_lock);
	pthread_mutex_destroy(&catalog->list_lock);
	pthread_mutex_destroy(&catalog->fill_lock);
}
