/*
 * make_index.c - the file `index` of a store of make_store.c, written as FORMAT.md says: the engine
 * would read all rows for it.
 *
 * make_index PATH
 *
 * The store is closed, and ID and slot are the same. The table is made in parts of 4 GiB, each of the
 * IDs whose search begins there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/media/superblock.h"
#include "tests/bench/bench.h"
#include "tests/common/random.h"

#define PAGE_BYTES 4096u
#define LINE_BYTES 64u
#define LINES (PAGE_BYTES / LINE_BYTES)
#define BUCKETS (LINES - 1)
#define PLACES 12u
#define OVERFLOW_AT 12u
#define SLOTS_AT 16u
#define LIVE_SLOTS 32256u /* of a page of the live map */
#define GROUP_PAGES 16u
#define GROUP_BYTES (2 * GROUP_PAGES * (uint64_t)PAGE_BYTES)
#define HEADERS_BYTES (2 * PAGE_BYTES)
#define PART_PAGES (UINT64_C(1) << 20)
#define AHEAD 32u /* IDs whose buckets are on their way from memory */
#define PATH_MAX_BYTES 4096

__extension__ typedef unsigned __int128 wide;

struct made {
	struct superblock sb;
	int sb_fd, fd;
	uint64_t generation, salt, life;
	uint64_t pages; /* of the table */
	uint8_t (*first)[PAGE_BYTES]; /* page 0, to which the last bucket overflows */
	uint8_t (*part)[PAGE_BYTES]; /* pages from `from` on, and the one behind them */
	uint64_t from, count;
};

struct place {
	uint64_t page;
	unsigned line;
	unsigned tag;
	uint32_t slot;
};

static void write_at(int fd, const void *bytes, size_t length, uint64_t offset)
{
	if (pwrite(fd, bytes, length, (off_t)offset) != (ssize_t)length)
		bench_die("write: %s", strerror(errno));
}

static struct place home_of(const struct made *made, uint64_t id)
{
	uint8_t key[8];
	uint64_t hash;
	wide w;

	put_le64(key, id);
	hash = XXH3_64bits(key, sizeof(key));
	w = (wide)hash * made->pages;
	return (struct place){ .page = (uint64_t)(w >> 64),
		               .line = 1 + (unsigned)((wide)(uint64_t)w * BUCKETS >> 64),
		               .tag = 1 + (unsigned)((hash & 0xFFFF) * 255 >> 16),
		               .slot = (uint32_t)id };
}

static uint8_t *line_at(const struct made *made, uint64_t page, unsigned line)
{
	if (page == made->pages)
		return (made->from == 0 ? made->part[0] : made->first[0]) + line * LINE_BYTES;
	if (page > made->from + made->count)
		bench_die("more than a page of buckets is full");
	return made->part[page - made->from] + line * LINE_BYTES;
}

static void insert(const struct made *made, const struct place *place)
{
	uint64_t page = place->page;
	unsigned line = place->line;
	uint8_t *bucket = line_at(made, page, line);
	uint8_t *free;

	while (!(free = memchr(bucket, 0, PLACES))) {
		put_le32(bucket + OVERFLOW_AT, get_le32(bucket + OVERFLOW_AT) + 1);
		if (++line == LINES) {
			line = 1;
			page++;
		}
		bucket = line_at(made, page, line);
	}
	*free = (uint8_t)place->tag;
	put_le32(bucket + SLOTS_AT + (size_t)(free - bucket) * 4, place->slot);
}

/* All IDs whose search begins in this part. */
static void fill_part(const struct made *made)
{
	struct place ahead[AHEAD];
	unsigned n = 0;

	for (uint64_t id = 0; id < made->sb.count; id++) {
		struct place place = home_of(made, id);

		if (place.page - made->from >= made->count)
			continue;
		__builtin_prefetch(line_at(made, place.page, place.line), 1);
		ahead[n++] = place;
		for (unsigned i = 0; n == AHEAD && i < AHEAD; i++)
			insert(made, &ahead[i]);
		n %= AHEAD;
	}
	for (unsigned i = 0; i < n; i++)
		insert(made, &ahead[i]);
}

/* The head of a page whose content is there. */
static void seal(const struct made *made, uint8_t page[PAGE_BYTES], uint64_t number)
{
	uint8_t head[32];

	put_le64(head, made->generation);
	put_le64(head + 8, made->life);
	put_le64(head + 16, number);
	put_le64(head + 24, made->salt);
	memset(page, 0, LINE_BYTES);
	put_le64(page, made->generation);
	put_le64(page + 8, made->life);
	put_le64(page + 16, XXH3_64bits(head, sizeof(head)));
	put_le64(page + 24, XXH3_64bits_withSeed(page + LINE_BYTES, PAGE_BYTES - LINE_BYTES,
	                                         get_le64(page + 16)));
}

/* Place 0 of `count` pages from `number` on. */
static void write_pages(const struct made *made, uint8_t (*pages)[PAGE_BYTES], uint64_t number,
                        uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t n = number + i;

		seal(made, pages[i], n);
		write_at(made->fd, pages[i], PAGE_BYTES,
		         HEADERS_BYTES + n / GROUP_PAGES * GROUP_BYTES +
		                 n % GROUP_PAGES * PAGE_BYTES);
	}
}

static void write_table(struct made *made)
{
	uint64_t most = made->pages < PART_PAGES ? made->pages : PART_PAGES;
	size_t bytes = (most + 1) * PAGE_BYTES;
	uint8_t(*spilt)[PAGE_BYTES] = calloc(1, PAGE_BYTES);

	made->first = calloc(1, PAGE_BYTES);
	made->part = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!spilt || !made->first || (void *)made->part == MAP_FAILED)
		bench_die("no memory");
	/* All of it is looked at anywhere; without, it takes longer. */
	(void)madvise(made->part, bytes, MADV_HUGEPAGE);
	for (made->from = 0; made->from < made->pages; made->from += made->count) {
		made->count = made->pages - made->from < most ? made->pages - made->from : most;
		memset(made->part, 0, (made->count + 1) * PAGE_BYTES);
		memcpy(made->part[0], spilt, PAGE_BYTES);
		fill_part(made);
		memcpy(spilt, made->part[made->count], PAGE_BYTES);
		if (made->from == 0)
			memcpy(made->first, made->part[0], PAGE_BYTES);
		write_pages(made, made->part, made->from, made->count);
	}
	write_pages(made, made->first, 0, 1);
	free(spilt);
}

static void write_live_map(const struct made *made)
{
	uint8_t(*page)[PAGE_BYTES] = bench_alloc(PAGE_BYTES);

	for (uint64_t at = 0; at < made->sb.slots_used; at += LIVE_SLOTS) {
		uint64_t left = made->sb.slots_used - at;
		uint64_t bits = left < LIVE_SLOTS ? left : LIVE_SLOTS;

		memset(page, 0, PAGE_BYTES);
		memset(page[0] + LINE_BYTES, 0xff, bits / 8);
		if (bits % 8 > 0)
			page[0][LINE_BYTES + bits / 8] = (uint8_t)((1u << bits % 8) - 1);
		write_pages(made, page, made->pages + at / LIVE_SLOTS, 1);
	}
	free(page);
}

static void write_header(const struct made *made)
{
	uint8_t page[PAGE_BYTES] = "QUIVERIX";

	put_le32(page + 8, 4);
	put_le32(page + 12, 1);
	memcpy(page + 16, made->sb.geometry.uuid, 16);
	put_le64(page + 32, made->sb.checkpoint_lsn);
	put_le64(page + 40, made->sb.slots_used);
	put_le64(page + 48, made->sb.count);
	put_le64(page + 56, made->pages);
	put_le64(page + 64, made->salt);
	put_le64(page + 72, made->generation);
	put_le64(page + 80, made->generation);
	put_le64(page + 88, (uint64_t)made->sb.ctime_max_ns);
	put_le64(page + 256, made->generation);
	put_le64(page + 264, made->life);
	put_le64(page + PAGE_BYTES - 8, XXH3_64bits(page, PAGE_BYTES - 8));
	write_at(made->fd, page, sizeof(page), made->generation % 2 * PAGE_BYTES);
}

static int open_file(const char *folder, const char *name, int flags)
{
	char path[PATH_MAX_BYTES];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		bench_die("%s: too long", folder);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		bench_die("%s: %s", path, strerror(errno));
	return fd;
}

static void read_superblock(struct made *made)
{
	uint8_t page[SUPERBLOCK_COPY_BYTES];
	struct superblock copies[2];
	int results[2];
	int chosen;

	for (unsigned i = 0; i < 2; i++) {
		if (pread(made->sb_fd, page, sizeof(page), i * (off_t)sizeof(page)) !=
		    (ssize_t)sizeof(page))
			bench_die("superblock: too short");
		results[i] = superblock_decode(page, i, &copies[i]);
	}
	chosen = superblock_choose(copies, results, NULL);
	if (chosen < 0)
		bench_die("superblock: %s", strerror(-chosen));
	made->sb = copies[chosen];
	if (!made->sb.clean || made->sb.count != made->sb.slots_used)
		bench_die("not a store that make_store has just made");
}

static void write_superblock(struct made *made)
{
	uint8_t page[SUPERBLOCK_COPY_BYTES];

	made->sb.sequence++;
	made->sb.index_generation = made->generation;
	made->sb.index_salt = made->salt;
	superblock_encode(&made->sb, page);
	write_at(made->sb_fd, page, sizeof(page), made->sb.sequence % 2 * sizeof(page));
	if (fsync(made->sb_fd) != 0)
		bench_die("superblock: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct made made = { .from = 0 };
	uint64_t seed = bench_now_ns();

	if (argc != 2)
		bench_die("usage: make_index PATH");
	made.sb_fd = open_file(argv[1], "superblock", O_RDWR);
	read_superblock(&made);
	made.fd = open_file(argv[1], "index", O_RDWR | O_CREAT | O_TRUNC);
	made.generation = made.sb.sequence + 1;
	made.salt = test_random(&seed) | 1;
	made.life = test_random(&seed);
	/* Three quarters of the places are taken. */
	made.pages = (made.sb.count + made.sb.count / 3) / (BUCKETS * PLACES) + 4;
	write_table(&made);
	write_live_map(&made);
	write_header(&made);
	if (fsync(made.fd) != 0)
		bench_die("index: %s", strerror(errno));
	write_superblock(&made);
	free(made.first); /* the rest goes with the process */
	return 0;
}
