/*
 * flips.c - bit flips: each bit of each file that a store keeps its books in, of one that was
 * closed and of one that was killed, and a sample of the vectors. However a store with such a
 * bit is opened, it never serves anything wrong, and check names what is damaged.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/media/index_page.h"
#include "faults.h"
#include "script.h"
#include "tests/common/listed.h"
#include "tests/common/random.h"

#define SHORT_RUN_BITS 2200u /* of each file */
#define SHORT_RUN_SECONDS 30u
#define VECTOR_BITS 4000u /* of vectors.npy, also in a long run */
#define PAYLOAD_STRIDE 61u /* bits of the vectors in the log are taken this far apart */
#define HEADER_BYTES 4096u
#define RECORD_BYTES 128u
#define USE_EVERY 5 /* cases that write to the store, too */

struct flip {
	enum script_image image;
	const struct image_file *file;
	uint64_t bit;
};

struct flips {
	struct images images;
	struct flip *list;
	uint64_t count;
	char base[FOLDER_PATH_BYTES];
};

/* One case on its way. */
struct trial {
	const struct flip *flip;
	const struct world *world;
	char path[FOLDER_PATH_BYTES + 24];
	char *why;
	bool named; /* check has found something */
	bool noticed; /* the open store has: refused, reported, or -EIO */
};

static void wrong(struct trial *trial, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void wrong(struct trial *trial, const char *format, ...)
{
	va_list args;

	if (trial->why[0])
		return;
	va_start(args, format);
	(void)vsnprintf(trial->why, RUNNER_WHY_BYTES, format, args);
	va_end(args);
}

/* ---- what can be flipped ---- */

static void add(struct flips *flips, enum script_image image, const struct image_file *file,
                uint64_t bit)
{
	if (flips->count % 65536 == 0) {
		struct flip *grown = realloc(flips->list, (flips->count + 65536) * sizeof(*grown));

		if (!grown)
			abort();
		flips->list = grown;
	}
	flips->list[flips->count++] = (struct flip){ .image = image, .file = file, .bit = bit };
}

static uint32_t le32_at(const struct image_file *file, uint64_t at)
{
	uint32_t value;

	memcpy(&value, file->bytes + at, sizeof(value));
	return value;
}

/* The header and the records, up to the end of the log; of payloads some bits. */
static void add_segment(struct flips *flips, enum script_image image, const struct image_file *file)
{
	uint64_t at = HEADER_BYTES;

	for (uint64_t bit = 0; bit < HEADER_BYTES * 8; bit++)
		add(flips, image, file, bit);
	while (at + RECORD_BYTES <= file->kept && le32_at(file, at) >= RECORD_BYTES) {
		uint64_t end = at + le32_at(file, at);

		for (uint64_t bit = at * 8; bit < (at + RECORD_BYTES) * 8; bit++)
			add(flips, image, file, bit);
		for (uint64_t bit = (at + RECORD_BYTES) * 8; bit < end * 8; bit += PAYLOAD_STRIDE)
			add(flips, image, file, bit);
		at = end;
	}
}

static void add_file(struct flips *flips, enum script_image image, const struct image_file *file)
{
	bool segment = strncmp(file->name, "wal/", 4) == 0;
	bool vectors = strcmp(file->name, "vectors.npy") == 0;
	uint64_t limit = vectors ? VECTOR_BITS : SHORT_RUN_BITS;
	uint64_t state = runner_seed() + image * 100 + flips->count;
	uint64_t first = flips->count;
	uint64_t kept = 0;
	uint64_t left;

	if (segment)
		add_segment(flips, image, file);
	else if (vectors)
		for (uint64_t i = 0; i < limit; i++)
			add(flips, image, file, test_random(&state) % (file->kept * 8));
	else
		for (uint64_t bit = 0; bit < file->size * 8; bit++)
			add(flips, image, file, bit);
	if (runner_long() || vectors)
		return;
	left = flips->count - first;
	for (uint64_t i = first; i < flips->count && kept < limit; i++, left--)
		if (test_random(&state) % left < limit - kept)
			flips->list[first + kept++] = flips->list[i];
	flips->count = first + kept;
}

static void add_image(struct flips *flips, enum script_image image)
{
	struct image *store = &flips->images.stores[image];

	for (size_t i = 0; i < store->count; i++)
		if (strcmp(store->files[i].name, "LOCK") != 0)
			add_file(flips, image, &store->files[i]);
}

/* ---- one of them ---- */

static bool is_wal(const struct flip *flip)
{
	return strncmp(flip->file->name, "wal/", 4) == 0;
}

/* A row count in an NPY header that reads as another one: put right without a word. */
static bool is_row_count(const struct flip *flip)
{
	uint64_t at = flip->bit / 8;
	const char *name = flip->file->name;
	size_t length = strlen(name);
	uint8_t byte;

	if (length < 4 || strcmp(name + length - 4, ".npy") != 0 || at >= HEADER_BYTES)
		return false;
	byte = flip->file->bytes[at];
	return isdigit(byte) && isdigit(byte ^ (1 << flip->bit % 8));
}

static bool is_superblock(const struct flip *flip)
{
	return strcmp(flip->file->name, "superblock") == 0;
}

/* Of a page of the index: the head in front of what its sums cover, and what follows. */
#define INDEX_HEAD_BYTES 32u
#define INDEX_CONTENT_AT 64u

/* The header that counts is number 0 or 1. */
static unsigned index_header_of(const struct image_file *file, struct index_header *header)
{
	struct index_header other;

	if (index_header_get(file->bytes, header) != 0)
		header->generation = 0;
	if (index_header_get(file->bytes + INDEX_PAGE_BYTES, &other) != 0 ||
	    other.generation < header->generation)
		return 0;
	*header = other;
	return 1;
}

/* Where the version of a page is that counts. */
static uint64_t index_page_of(const struct image_file *file, const struct index_header *header,
                              uint64_t page)
{
	uint64_t first = index_place_at(page, false);
	uint64_t second = index_place_at(page, true);
	bool has_second = header->whole != header->generation &&
	                  second + INDEX_PAGE_BYTES <= file->size;
	bool is_second = false;

	if (index_page_choose(header, page, file->bytes + first,
	                      has_second ? file->bytes + second : NULL, &is_second) != 0)
		abort();
	return is_second ? second : first;
}

/* Whether the byte is of a page, or of the header, that counts. */
static bool index_says(const struct flip *flip)
{
	const struct image_file *file = flip->file;
	static struct index_header header;
	unsigned number = index_header_of(file, &header);
	uint64_t at = flip->bit / 8;
	uint64_t pages = header.table_pages + index_live_pages(header.slots_used);

	if (at < INDEX_HEADERS_BYTES)
		return at / INDEX_PAGE_BYTES == number;
	for (uint64_t page = 0; page < pages; page++) {
		uint64_t place = index_page_of(file, &header, page);

		if (at < place || at >= place + INDEX_PAGE_BYTES)
			continue;
		return at < place + INDEX_HEAD_BYTES || at >= place + INDEX_CONTENT_AT;
	}
	return false;
}

/* Bits that mean something, so that check must not be silent about them. A bad copy of the
 * superblock of a store that was not closed is also what a crash leaves: opening tells of it. */
static bool must_be_named(const struct flip *flip)
{
	if (strcmp(flip->file->name, "index") == 0)
		return flip->image == IMAGE_CLEAN && index_says(flip);
	if (flip->image == IMAGE_CLEAN)
		return strcmp(flip->file->name, "durable") != 0 &&
		       strcmp(flip->file->name, "vectors.npy") != 0 && !is_row_count(flip);
	/* A segment made ahead of need holds nothing yet. */
	return is_wal(flip) && flip->file->kept > HEADER_BYTES;
}

static void flip_byte(struct trial *trial)
{
	char full[sizeof(trial->path) + 320];
	const struct flip *flip = trial->flip;
	off_t at = (off_t)(flip->bit / 8);
	uint8_t byte = 0;
	int fd;

	snprintf(full, sizeof(full), "%s/%s", trial->path, flip->file->name);
	fd = open(full, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &byte, 1, at) != 1)
		abort();
	byte = (uint8_t)(byte ^ 1u << flip->bit % 8);
	if (pwrite(fd, &byte, 1, at) != 1 || close(fd) != 0)
		abort();
}

static void check(struct trial *trial)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	int r = quiver_check(trial->path, false, NULL, NULL, &result, &error);

	trial->named = r != 0 || result.damage > 0;
	if (r && error.text[0] == '\0')
		wrong(trial, "check gave up (%s) without a word", strerror(-r));
}

/* IDs that the list has too many or too few are those whose rows are damaged: then each of
 * them that should be there says so, and the store has reported it. */
static void compare_list(struct trial *trial, struct quiver *store, const bool damaged[WORLD_IDS])
{
	bool listed[WORLD_IDS] = { false };
	struct listed list;

	if (listed_all(store, &list) != 0)
		abort();
	for (size_t i = 0; i < list.count; i++) {
		uint64_t id = list.ids[i];
		bool known = id < WORLD_IDS && trial->world->ids[id].version;

		if (known && listed[id])
			wrong(trial, "vector %" PRIu64 " is listed twice", id);
		else if (known)
			listed[id] = true;
		else if (!trial->noticed)
			wrong(trial, "vector %" PRIu64 " is listed, but never was", id);
	}
	listed_free(&list);
	for (uint64_t id = 0; id < WORLD_IDS; id++)
		if (trial->world->ids[id].version && !listed[id] && !damaged[id])
			wrong(trial, "vector %" PRIu64 " is not listed", id);
}

/* A new one is written to both copies of the superblock, so either has it. */
static void compare_description(struct trial *trial, struct quiver *store)
{
	struct quiver_description is;

	if (!world_has_label(store, trial->world->label))
		wrong(trial, "another label than was set last");
	quiver_describe(store, &is);
	if (trial->flip->image == IMAGE_CLEAN && is.metric != IMAGES_METRIC)
		wrong(trial, "its metric is %d", (int)is.metric);
}

static void compare(struct trial *trial, struct quiver *store, const char *when)
{
	bool damaged[WORLD_IDS] = { false };
	uint8_t bytes[WORLD_BYTES_MAX];
	struct quiver_stats stats = { .size = sizeof(stats) };

	for (uint64_t id = 0; id < WORLD_IDS; id++) {
		const char *why = world_compare_id(trial->world, store, id, true);

		if (why)
			wrong(trial, "%s: vector %" PRIu64 ": %s", when, id, why);
		damaged[id] = quiver_get_copy(store, id, bytes, NULL, NULL) == -EIO;
		trial->noticed = trial->noticed || damaged[id];
	}
	quiver_stats(store, &stats);
	trial->noticed = trial->noticed || stats.errors > 0;
	compare_list(trial, store, damaged);
	compare_description(trial, store);
}

static struct quiver *open_flipped(struct trial *trial, bool read_only)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = read_only };
	struct quiver_error error = { "" };
	struct quiver *store = NULL;
	int r = quiver_open(trial->path, &options, &store, &error);

	if (r == 0)
		return store;
	trial->noticed = true;
	if (r != -EUCLEAN && r != -EINVAL && r != -EIO && r != -ENOTSUP)
		wrong(trial, "open refuses with %s: %s", strerror(-r), error.text);
	if (error.text[0] == '\0')
		wrong(trial, "open refuses (%s) without a word", strerror(-r));
	return NULL;
}

/* Life goes on: a commit, a close, and all of it is there again. */
static void use(struct trial *trial, struct quiver *store)
{
	static uint8_t bytes[WORLD_BYTES_MAX];
	static struct world world;
	struct quiver_attr attr = world_attr(77);
	int r;

	world = *trial->world;
	trial->world = &world;
	world_bytes(97, 77, WORLD_BYTES_MAX, bytes);
	r = quiver_put(store, 97, bytes, &attr, QUIVER_ATTR_ALL, 0, NULL);
	if (r == 0)
		world.ids[97] = (struct world_entry){ .version = 77, .origin = 97, .attr = 77 };
	else
		wrong(trial, "put: %s", strerror(-r));
	r = quiver_close(store);
	if (r)
		wrong(trial, "close: %s", strerror(-r));
	store = open_flipped(trial, true);
	if (!store)
		return;
	compare(trial, store, "after a commit and a close");
	if (quiver_close(store) != 0)
		wrong(trial, "the last close failed");
}

static bool run_case(void *arg, uint64_t number, char why[RUNNER_WHY_BYTES])
{
	struct flips *flips = arg;
	const struct flip *flip = &flips->list[number];
	struct trial trial = { .flip = flip,
		               .world = &flips->images.worlds[flip->image],
		               .why = why };
	bool writes = number % USE_EVERY == 0;
	struct quiver *store;

	snprintf(trial.path, sizeof(trial.path), "%s/%ld", flips->base, (long)getpid());
	image_write(&flips->images.stores[flip->image], trial.path);
	flip_byte(&trial);
	check(&trial);
	if (!trial.named && must_be_named(flip))
		wrong(&trial, "check says nothing");
	store = open_flipped(&trial, !writes);
	if (store) {
		compare(&trial, store, "opened");
		if (writes)
			use(&trial, store);
		else if (quiver_close(store) != 0)
			wrong(&trial, "close failed");
	}
	if (is_superblock(flip) && !trial.noticed)
		wrong(&trial, "the open store has not noticed it");
	if (trial.noticed && !trial.named && !is_superblock(flip))
		wrong(&trial, "the open store has noticed it, check has not");
	folder_remove(trial.path);
	return why[0] == '\0';
}

static void describe(void *arg, uint64_t number, char *to, size_t room)
{
	const struct flips *flips = arg;
	const struct flip *flip = &flips->list[number];

	snprintf(to, room, "%s store, %s, byte %" PRIu64 " bit %u",
	         flip->image == IMAGE_CLEAN ? "closed" : "killed", flip->file->name, flip->bit / 8,
	         (unsigned)(flip->bit % 8));
}

int main(void)
{
	static struct flips flips;
	struct runner runner = {
		.name = "bit flips", .run = run_case, .describe = describe, .arg = &flips
	};
	uint64_t failures;

	folder_make(flips.base);
	images_make(&flips.images);
	add_image(&flips, IMAGE_CLEAN);
	add_image(&flips, IMAGE_CRASHED);
	runner.cases = runner.short_cases = flips.count;
	runner.short_seconds = SHORT_RUN_SECONDS;
	failures = runner_run(&runner);
	images_free(&flips.images);
	free(flips.list);
	folder_remove(flips.base);
	return failures > 0;
}
