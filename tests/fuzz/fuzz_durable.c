/*
 * fuzz_durable.c - the file `durable` of a store that was killed, its page and its notes: which LSN it
 * tells decides whether the log is whole. One above the end of the log is corruption, and the store is
 * refused; any other, and none, leaves what the log says.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/media/bytes.h"
#include "engine/media/wal_record.h"
#include "fuzz.h"

/* Of each use a killed store, in both versions of the format. */
static struct base {
	struct memdisk_image image;
	struct world world;
	struct memdisk_file *file;
	uint8_t bytes[DURABLE_BYTES];
	uint8_t uuid[16];
	uint64_t lsn; /* of the last commit, which the log has */
} bases[2 * FUZZ_USE_COUNT];

static uint64_t lsn_of(struct quiver *store)
{
	struct quiver_stats stats = { .size = sizeof(stats) };

	quiver_stats(store, &stats);
	return stats.lsn;
}

static void make(struct base *base)
{
	unsigned number = (unsigned)(base - bases);
	struct quiver *store = fuzz_begin(&base->world);

	/* Each commit is one more note. */
	FUZZ_CHECK(quiver_set_durability(store, QUIVER_ALWAYS) == 0);
	fuzz_use(store, (enum fuzz_use)(number % FUZZ_USE_COUNT), &base->world);
	base->lsn = lsn_of(store);
	memdisk_save(&base->image);
	FUZZ_CHECK(quiver_close(store) == 0);
	if (number >= FUZZ_USE_COUNT)
		fuzz_downgrade(&base->image);
	base->file = memdisk_find(&base->image, "durable");
	FUZZ_CHECK(base->file && base->file->size == DURABLE_BYTES);
	memcpy(base->bytes, base->file->bytes, base->file->kept);
	memcpy(base->uuid, memdisk_find(&base->image, "superblock")->bytes + 16, 16);
}

enum change { FLIP, NOTE, PAGE, OTHER_NOTE, CUT, CHANGE_COUNT };

/* One change; the size of the file then. */
static uint64_t change(const struct base *base, struct fuzz_input *input, uint8_t *bytes,
                       uint64_t size)
{
	unsigned what = (unsigned)fuzz_take(input, 1);
	unsigned note = what / CHANGE_COUNT % DURABLE_NOTES;
	uint64_t where = fuzz_take(input, 2);
	uint64_t lsn = base->lsn - 4 + where % 8 + (where / 8 << 20);

	switch ((enum change)(what % CHANGE_COUNT)) {
	case FLIP:
		bytes[where % DURABLE_BYTES] ^= (uint8_t)fuzz_take(input, 1);
		break;
	case NOTE:
		durable_note_encode(lsn, note, base->uuid, bytes + durable_note_at(note));
		break;
	case PAGE:
		durable_encode(lsn, base->uuid, bytes);
		break;
	case OTHER_NOTE: /* in the place of this one */
		durable_note_encode(lsn, (note + 1) % DURABLE_NOTES, base->uuid,
		                    bytes + durable_note_at(note));
		break;
	case CUT:
		return where < size ? where : size;
	case CHANGE_COUNT:
		break;
	}
	return size;
}

/* What the file says, as FORMAT.md has it. */
static uint64_t told(const struct base *base, const uint8_t *bytes)
{
	uint64_t most = durable_decode(bytes, base->uuid);

	for (unsigned i = 0; i < DURABLE_NOTES; i++) {
		uint64_t lsn = durable_note_decode(bytes + durable_note_at(i), i, base->uuid);

		most = lsn > most ? lsn : most;
	}
	return most;
}

/* The disk of `base`, with its file changed; what that says. */
static uint64_t lay(struct base *base, struct fuzz_input *input)
{
	uint8_t bytes[DURABLE_BYTES];
	struct memdisk_file kept = *base->file;
	uint64_t size = DURABLE_BYTES;

	memcpy(bytes, base->bytes, sizeof(bytes));
	while (input->size > 0) {
		size = change(base, input, bytes, size);
		memset(bytes + size, 0, sizeof(bytes) - size);
	}
	base->file->bytes = bytes;
	base->file->size = base->file->kept = size;
	memdisk_load(&base->image);
	*base->file = kept;
	return told(base, bytes);
}

static bool is_damaged(void)
{
	struct quiver_check_result result;

	FUZZ_CHECK(quiver_check(MEMDISK_STORE, false, NULL, NULL, &result, NULL) == 0);
	return result.damage > 0;
}

/* A life that writes to the file, too. */
static void use(struct quiver *store)
{
	FUZZ_CHECK(quiver_set_durability(store, QUIVER_ALWAYS) == 0);
	for (uint32_t i = 0; i < DURABLE_NOTES + 1; i++)
		FUZZ_CHECK(fuzz_put(store, 3, 5 + i) == 0);
	FUZZ_CHECK(quiver_remove(store, 3, 0, NULL) == 0);
	FUZZ_CHECK(fuzz_read_all(store));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct base *base = &bases[fuzz_take(&input, 1) % (2 * FUZZ_USE_COUNT)];
	struct quiver_options options = { .size = sizeof(struct quiver_options) };
	struct quiver_error error = { "" };
	struct quiver *store;
	uint64_t id;
	bool corrupt;
	int r;

	if (!base->file)
		make(base);
	memdisk_use_maps(input.size % 2); /* half of the inputs */
	corrupt = lay(base, &input) > base->lsn;
	FUZZ_CHECK(is_damaged() == corrupt);
	r = quiver_open(MEMDISK_STORE, &options, &store, &error);
	FUZZ_CHECK(r == (corrupt ? -EUCLEAN : 0) && (r == 0 || error.text[0]));
	if (r == 0) {
		FUZZ_CHECK(world_compare(&base->world, store, &id) == NULL);
		use(store);
		FUZZ_CHECK(quiver_close(store) == 0);
		FUZZ_CHECK(!is_damaged());
	}
	FUZZ_CHECK(memdisk_opens() == 0);
	return 0;
}

/* Each store as it was left, and with its file changed in each way. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	const unsigned ways = 1 + CHANGE_COUNT * DURABLE_NOTES;
	unsigned way = number % ways;

	if (number / ways >= 2 * FUZZ_USE_COUNT)
		return FUZZ_NO_SEED;
	FUZZ_CHECK(room >= 5);
	to[0] = (uint8_t)(number / ways);
	if (way == 0)
		return 1;
	way--;
	to[1] = (uint8_t)way;
	to[2] = (uint8_t)(way * 3);
	to[3] = way % 2 ? 0x10 : 0;
	to[4] = 1;
	return to[1] % CHANGE_COUNT == FLIP ? 5 : 4;
}
