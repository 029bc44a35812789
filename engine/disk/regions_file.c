#include "engine/disk/regions_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static uint64_t number_of(unsigned area, unsigned sector)
{
	return (uint64_t)area * REGIONS_AREA_SECTORS + sector;
}

int regions_file_open(struct regions_file *file, const struct quiver_io *io, int dir_fd,
                      const uint8_t uuid[16], bool writable)
{
	struct stat st;
	int r;

	*file = (struct regions_file){ .io = io };
	memcpy(file->uuid, uuid, sizeof(file->uuid));
	file->fd = io->open(io, dir_fd, "regions", writable ? O_RDWR : O_RDONLY, 0);
	if (file->fd < 0) {
		r = file->fd;
		file->fd = -1;
		return r;
	}
	r = io->stat(io, file->fd, &st);
	if (r == 0 && st.st_size < (off_t)REGIONS_FILE_BYTES)
		r = -EBADMSG;
	if (r)
		(void)regions_file_close(file); /* what failed first is the reason */
	return r;
}

/* All sectors, without a note. */
static int write_empty(const struct regions_file *file)
{
	const uint8_t none[REGIONS_BITS_BYTES] = { 0 };
	uint8_t *bytes = malloc(REGIONS_FILE_BYTES);
	int r;

	if (!bytes)
		return -ENOMEM;
	for (uint64_t i = 0; i < (uint64_t)REGIONS_AREAS * REGIONS_AREA_SECTORS; i++)
		region_sector_encode(bytes + i * REGIONS_SECTOR_BYTES, 0, none, file->uuid, i);
	r = io_write_all(file->io, file->fd, bytes, REGIONS_FILE_BYTES, 0);
	free(bytes);
	return r ? r : io_fsync(file->io, file->fd);
}

int regions_file_create(struct regions_file *file, const struct quiver_io *io, int dir_fd,
                        const uint8_t uuid[16])
{
	int r;

	*file = (struct regions_file){ .io = io };
	memcpy(file->uuid, uuid, sizeof(file->uuid));
	file->fd = io_open_new(io, dir_fd, "regions.new");
	if (file->fd < 0) {
		r = file->fd;
		file->fd = -1;
		return r;
	}
	r = write_empty(file);
	if (r == 0)
		r = io->rename(io, dir_fd, "regions.new", "regions");
	else
		(void)io->unlink(io, dir_fd, "regions.new"); /* what failed first is the reason */
	if (r == 0)
		r = io_fsync(io, dir_fd);
	if (r)
		(void)regions_file_close(file);
	return r;
}

int regions_file_close(struct regions_file *file)
{
	int fd = file->fd;

	file->fd = -1;
	return fd < 0 ? 0 : file->io->close(file->io, fd);
}

int regions_file_write(const struct regions_file *file, unsigned area, unsigned sector,
                       uint64_t generation, const uint8_t *bits)
{
	uint64_t number = number_of(area, sector);
	uint8_t bytes[REGIONS_SECTOR_BYTES];

	region_sector_encode(bytes, generation, bits, file->uuid, number);
	return io_write_all(file->io, file->fd, bytes, sizeof(bytes),
	                    number * REGIONS_SECTOR_BYTES);
}

int regions_file_sync(const struct regions_file *file)
{
	return io_fdatasync(file->io, file->fd);
}

int regions_file_begin_life(const struct regions_file *file, uint64_t generation)
{
	const uint8_t none[REGIONS_BITS_BYTES] = { 0 };
	int r = regions_file_write(file, 0, REGIONS_LIFE_SECTOR, generation, none);

	if (r == 0)
		file->io->hint(file->io, file->fd,
		               number_of(0, REGIONS_LIFE_SECTOR) * REGIONS_SECTOR_BYTES,
		               REGIONS_SECTOR_BYTES, IO_WRITE_SOON);
	return r;
}

/* Add what a sector notes. Whether it is of generation `least` or a later one. */
static bool add_sector(const struct regions_file *file, const uint8_t *bytes, uint64_t number,
                       uint64_t least, uint8_t *noted)
{
	uint8_t bits[REGIONS_BITS_BYTES];
	uint64_t generation;

	if (region_sector_decode(bytes, file->uuid, number, &generation, bits)) {
		memset(noted, 0xff, REGIONS_BITS_BYTES);
		return false;
	}
	for (unsigned i = 0; generation >= least && i < REGIONS_BITS_BYTES; i++)
		noted[i] |= bits[i];
	return generation >= least;
}

/* Whether whoever opened the store last has left its mark, of that generation or a later one. */
static bool has_begun(const struct regions_file *file, const uint8_t *bytes, uint64_t least)
{
	const uint64_t number = number_of(0, REGIONS_LIFE_SECTOR);
	uint8_t bits[REGIONS_BITS_BYTES];
	uint64_t generation;

	return region_sector_decode(bytes + number * REGIONS_SECTOR_BYTES, file->uuid, number,
	                            &generation, bits) == 0 &&
	       generation >= least;
}

int regions_file_read(const struct regions_file *file, uint64_t generation, uint8_t *noted)
{
	uint8_t *bytes = malloc(REGIONS_FILE_BYTES);
	bool of_now;
	int r;

	if (!bytes)
		return -ENOMEM;
	r = io_read_all(file->io, file->fd, bytes, REGIONS_FILE_BYTES, 0);
	memset(noted, 0, REGIONS_MAX / 8);
	of_now = r == 0 && has_begun(file, bytes, generation);
	for (unsigned area = 0; r == 0 && area < REGIONS_AREAS; area++)
		for (unsigned i = 0; i < REGIONS_SECTORS; i++) {
			uint64_t number = number_of(area, i);

			of_now |= add_sector(file, bytes + number * REGIONS_SECTOR_BYTES, number,
			                     generation, noted + (size_t)i * REGIONS_BITS_BYTES);
		}
	free(bytes);
	return r == 0 && !of_now ? -ESTALE : r;
}

int regions_file_damage(const struct regions_file *file)
{
	uint8_t *bytes = malloc(REGIONS_FILE_BYTES);
	uint8_t bits[REGIONS_BITS_BYTES];
	uint64_t generation;
	int bad = 0;
	int r;

	if (!bytes)
		return -ENOMEM;
	r = io_read_all(file->io, file->fd, bytes, REGIONS_FILE_BYTES, 0);
	for (uint64_t i = 0; r == 0 && i < (uint64_t)REGIONS_AREAS * REGIONS_AREA_SECTORS; i++)
		bad += region_sector_decode(bytes + i * REGIONS_SECTOR_BYTES, file->uuid, i,
		                            &generation, bits) != 0;
	free(bytes);
	return r ? r : bad;
}
