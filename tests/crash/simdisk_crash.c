/* What a crash or a failed sync leaves: choosing, and putting it into a folder. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chance.h"
#include "simdisk_disk.h"

/* How one file or folder fares. */
struct fate {
	enum sim_keep keep;
	struct chance chance;
	unsigned newest_percent; /* SIM_PATCHY, SIM_FILES */
	bool torn; /* SIM_TORN, and the last write was to this one */
};

#define WORD_BYTES 8u
#define SECTOR_WORDS (SIM_SECTOR_BYTES / WORD_BYTES)

/* Of each sector: how often it was written by a call, and how many of those writes are kept. */
struct sectors {
	uint32_t *written;
	uint32_t *kept;
	bool *lost; /* the first of them only where a later one, or a store, may be kept */
	bool *stored; /* it was stored in, so its words have fates of their own: */
	uint32_t *words; /* of each, how many of the changes to it are kept */
	uint64_t count;
};

const char *sim_keep_name(enum sim_keep keep)
{
	static const char *const names[SIM_KEEP_COUNT] = {
		[SIM_ALL_KEPT] = "all kept", [SIM_TORN] = "last write torn",
		[SIM_ALL_LOST] = "all lost", [SIM_RANDOM] = "random",
		[SIM_PATCHY] = "patchy",     [SIM_FILES] = "some files",
	};

	return names[keep];
}

static struct fate fate_of(const struct simdisk *disk, const struct sim_node *node,
                           enum sim_keep keep, uint64_t seed)
{
	static const unsigned percents[] = { 2, 20, 50, 80, 98 };
	struct fate fate = { .keep = keep, .chance = chance_of(seed, node->number) };

	fate.newest_percent = keep == SIM_FILES ? (unsigned)chance_below(&fate.chance, 2) * 100
	                                        : percents[chance_below(&fate.chance, 5)];
	fate.torn = keep == SIM_TORN && disk->last_written == node;
	return fate;
}

/* How many of `count` changes are kept. */
static size_t choose(struct fate *fate, size_t count)
{
	switch (fate->keep) {
	case SIM_ALL_KEPT:
	case SIM_TORN:
		return count;
	case SIM_ALL_LOST:
		return 0;
	case SIM_RANDOM:
		return chance_below(&fate->chance, count + 1);
	case SIM_FILES:
		return fate->newest_percent ? count : 0;
	default:
		return chance_percent(&fate->chance, fate->newest_percent)
		               ? count
		               : chance_below(&fate->chance, count + 1);
	}
}

static uint64_t first_sector(const struct sim_change *change)
{
	return change->at / SIM_SECTOR_BYTES;
}

/* Past the last one. */
static uint64_t end_sector(const struct sim_change *change)
{
	return change->length ? (change->at + change->length - 1) / SIM_SECTOR_BYTES + 1
	                      : first_sector(change);
}

static uint64_t first_word(const struct sim_change *change)
{
	return change->at / WORD_BYTES;
}

/* Past the last one. */
static uint64_t end_word(const struct sim_change *change)
{
	return change->length ? (change->at + change->length - 1) / WORD_BYTES + 1
	                      : first_word(change);
}

static const struct sim_change *last_of(const struct sim_node *node)
{
	return node->change_count > 0 ? &node->changes[node->change_count - 1] : NULL;
}

/* A process died after some sectors of its last write. */
static void tear_last_write(struct fate *fate, const struct sim_node *node, struct sectors *sectors)
{
	const struct sim_change *last = last_of(node);
	uint64_t first = first_sector(last);
	uint64_t end = end_sector(last);
	uint64_t whole = first + chance_below(&fate->chance, end - first + 1);

	for (uint64_t s = whole; s < end; s++)
		sectors->kept[s]--;
}

/* Or after some words of its last store, in no order. */
static void tear_last_store(struct fate *fate, const struct sim_node *node, struct sectors *sectors)
{
	const struct sim_change *last = last_of(node);

	for (uint64_t w = first_word(last); w < end_word(last); w++)
		sectors->words[w] -= chance_percent(&fate->chance, 50);
}

/* A size that is on disk took what lay behind it along, and one that is not cannot have. */
static void obey_cuts(const struct sim_node *node, struct sectors *sectors, size_t sizes_kept)
{
	uint32_t *seen = sim_alloc(sectors->count * sizeof(*seen));
	size_t sizes = 0;

	for (size_t i = 0; i < node->change_count; i++) {
		const struct sim_change *change = &node->changes[i];

		sizes += change->size_before != change->size_after;
		for (uint64_t s = first_sector(change); s < end_sector(change); s++) {
			seen[s] += !change->stored;
			if (!change->cut)
				continue;
			if (sizes <= sizes_kept && sectors->kept[s] < seen[s])
				sectors->kept[s] = seen[s];
			if (sizes > sizes_kept && sectors->kept[s] >= seen[s])
				sectors->kept[s] = seen[s] - 1;
		}
	}
	free(seen);
}

/* What the disk never got went with the kernel's memory. */
static void obey_losses(const struct fate *fate, struct sectors *sectors)
{
	for (uint64_t s = 0; s < sectors->count; s++)
		if (sectors->lost[s] && sectors->kept[s] == 1 && !sectors->stored[s] &&
		    !sim_keeps_process(fate->keep))
			sectors->kept[s] = 0;
}

static void choose_sectors(struct fate *fate, const struct sim_node *node, struct sectors *sectors,
                           size_t sizes_kept)
{
	const struct sim_change *last = last_of(node);

	for (size_t i = 0; i < node->change_count; i++)
		for (uint64_t s = first_sector(&node->changes[i]);
		     s < end_sector(&node->changes[i]); s++) {
			if (node->changes[i].stored)
				sectors->stored[s] = true;
			else
				sectors->written[s]++;
			sectors->lost[s] = sectors->lost[s] || node->changes[i].lost;
		}
	for (uint64_t s = 0; s < sectors->count; s++)
		if (sectors->written[s])
			sectors->kept[s] = (uint32_t)choose(fate, sectors->written[s]);
	if (fate->torn && last && !last->stored)
		tear_last_write(fate, node, sectors);
	obey_cuts(node, sectors, sizes_kept);
	obey_losses(fate, sectors);
}

/* Of the words of a sector that was stored in: the changes that must be there, since they belong to
 * calls that are kept or came before one, and those that can be. */
struct bounds {
	uint32_t changes; /* so far */
	uint32_t least;
	uint32_t most;
	bool bounded; /* `most` is: by a call that is not kept */
};

static void bound_words(const struct sim_node *node, const struct sectors *sectors,
                        struct bounds *bounds)
{
	uint32_t *calls = sim_alloc(sectors->count * sizeof(*calls));

	for (size_t i = 0; i < node->change_count; i++) {
		const struct sim_change *change = &node->changes[i];

		for (uint64_t w = first_word(change); w < end_word(change); w++) {
			uint64_t s = w / SECTOR_WORDS;
			bool kept = !change->stored && calls[s] < sectors->kept[s];

			if (!sectors->stored[s])
				continue;
			if (!change->stored && !kept && !bounds[w].bounded) {
				bounds[w].most = bounds[w].changes;
				bounds[w].bounded = true;
			}
			bounds[w].changes++;
			if (kept)
				bounds[w].least = bounds[w].changes;
		}
		for (uint64_t s = first_sector(change); s < end_sector(change); s++)
			calls[s] += !change->stored;
	}
	free(calls);
}

static void choose_words(struct fate *fate, const struct sim_node *node, struct sectors *sectors)
{
	uint64_t count = sectors->count * SECTOR_WORDS;
	struct bounds *bounds;
	bool any = false;

	for (uint64_t s = 0; !any && s < sectors->count; s++)
		any = sectors->stored[s];
	if (!any)
		return;
	bounds = sim_alloc(count * sizeof(*bounds));
	sectors->words = sim_alloc(count * sizeof(*sectors->words));
	bound_words(node, sectors, bounds);
	for (uint64_t w = 0; w < count; w++) {
		uint32_t most = bounds[w].bounded ? bounds[w].most : bounds[w].changes;

		sectors->words[w] = bounds[w].least;
		if (most > bounds[w].least)
			sectors->words[w] += (uint32_t)choose(fate, most - bounds[w].least);
	}
	free(bounds);
	if (fate->torn && last_of(node)->stored)
		tear_last_store(fate, node, sectors);
}

/* The part of a change that lies in [from, to). */
static void apply_part(const struct sim_change *change, uint64_t from, uint64_t to, uint8_t *bytes)
{
	if (from < change->at)
		from = change->at;
	if (to > change->at + change->length)
		to = change->at + change->length;
	if (change->data)
		memcpy(bytes + from, change->data + (from - change->at), to - from);
	else
		memset(bytes + from, 0, to - from);
}

static void apply_words(const struct sim_change *change, uint64_t sector,
                        const struct sectors *sectors, uint32_t *seen, uint8_t *bytes)
{
	uint64_t first = sector * SECTOR_WORDS;

	for (uint64_t w = first; w < first + SECTOR_WORDS; w++)
		if (w >= first_word(change) && w < end_word(change) &&
		    seen[w]++ < sectors->words[w])
			apply_part(change, w * WORD_BYTES, (w + 1) * WORD_BYTES, bytes);
}

static void apply(const struct sim_node *node, const struct sectors *sectors, uint8_t *bytes)
{
	uint32_t *seen = sim_alloc(sectors->count * sizeof(*seen));
	uint32_t *seen_words = sim_alloc(sectors->count * SECTOR_WORDS * sizeof(*seen_words));

	for (size_t i = 0; i < node->change_count; i++) {
		const struct sim_change *change = &node->changes[i];

		for (uint64_t s = first_sector(change); s < end_sector(change); s++) {
			uint64_t at = s * SIM_SECTOR_BYTES;

			if (sectors->stored[s])
				apply_words(change, s, sectors, seen_words, bytes);
			else if (seen[s]++ < sectors->kept[s])
				apply_part(change, at, at + SIM_SECTOR_BYTES, bytes);
		}
	}
	free(seen_words);
	free(seen);
}

static uint64_t choose_size(struct fate *fate, const struct sim_node *node, size_t *kept)
{
	uint64_t size = node->size;
	size_t changes = 0;

	for (size_t i = 0; i < node->change_count; i++)
		changes += node->changes[i].size_before != node->changes[i].size_after;
	*kept = choose(fate, changes);
	changes = 0;
	for (size_t i = 0; i < node->change_count && changes < *kept; i++)
		if (node->changes[i].size_before != node->changes[i].size_after) {
			size = node->changes[i].size_after;
			changes++;
		}
	return size;
}

static void put_file(int dir_fd, const char *name, const uint8_t *bytes, uint64_t size)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || pwrite(fd, bytes, size, 0) != (ssize_t)size || close(fd) != 0)
		abort();
}

/* The bytes of a file of which the fate keeps some changes and `sizes_kept` sizes; and what was
 * chosen, to be given back by free_sectors. */
static uint8_t *build_file(struct fate *fate, const struct sim_node *node, size_t sizes_kept,
                           struct sectors *sectors)
{
	uint64_t most = node->size;
	uint8_t *bytes;

	for (size_t i = 0; i < node->change_count; i++)
		if (node->changes[i].size_after > most)
			most = node->changes[i].size_after;
	bytes = sim_alloc(most);
	if (node->size)
		memcpy(bytes, node->bytes, node->size);
	sectors->count = most / SIM_SECTOR_BYTES + 1;
	sectors->written = sim_alloc(sectors->count * sizeof(uint32_t));
	sectors->kept = sim_alloc(sectors->count * sizeof(uint32_t));
	sectors->lost = sim_alloc(sectors->count * sizeof(bool));
	sectors->stored = sim_alloc(sectors->count * sizeof(bool));
	sectors->words = NULL;
	choose_sectors(fate, node, sectors, sizes_kept);
	choose_words(fate, node, sectors);
	apply(node, sectors, bytes);
	return bytes;
}

static void free_sectors(struct sectors *sectors)
{
	free(sectors->written);
	free(sectors->kept);
	free(sectors->lost);
	free(sectors->stored);
	free(sectors->words);
}

static void crash_file(struct fate fate, const struct sim_node *node, int dir_fd, const char *name)
{
	struct sectors sectors;
	size_t sizes_kept;
	uint64_t size = choose_size(&fate, node, &sizes_kept);
	uint8_t *bytes;

	if (node->change_count == 0) {
		put_file(dir_fd, name, node->bytes, node->size);
		return;
	}
	bytes = build_file(&fate, node, sizes_kept, &sectors);
	put_file(dir_fd, name, bytes, size);
	free_sectors(&sectors);
	free(bytes);
}

/* Sizes are kept: the filesystem has its own log for them. Of each sector the disk gets some of
 * the writes; the rest the kernel has dropped, or, of a few, will still write. */
void sim_node_sync_failed(struct sim_node *node, uint64_t seed)
{
	struct fate all = { .keep = SIM_ALL_KEPT };
	struct fate some = { .keep = SIM_RANDOM, .chance = chance_of(seed, node->number) };
	struct sectors sectors;
	struct sectors dropped;
	uint8_t *seen;
	uint8_t *got;

	if (node->change_count == 0)
		return;
	seen = build_file(&all, node, SIZE_MAX, &dropped);
	free_sectors(&dropped);
	got = build_file(&some, node, SIZE_MAX, &sectors);
	sim_node_settle(node, got);
	for (uint64_t s = 0; s < sectors.count; s++) {
		uint64_t at = s * SIM_SECTOR_BYTES;
		uint64_t length = SIM_SECTOR_BYTES;

		if ((!sectors.written[s] && !sectors.stored[s]) || at >= node->size)
			continue;
		if (length > node->size - at)
			length = node->size - at;
		if (memcmp(seen + at, got + at, length) == 0)
			continue;
		sim_node_write(node, at, length, seen + at);
		node->changes[node->change_count - 1].lost = chance_percent(&some.chance, 75);
	}
	free_sectors(&sectors);
	free(seen);
}

static void crash_folder(const struct simdisk *disk, const struct sim_node *node, int dir_fd,
                         enum sim_keep keep, uint64_t seed)
{
	struct fate fate = fate_of(disk, node, keep, seed);
	struct sim_names names;
	size_t kept = choose(&fate, node->naming_count);

	sim_names_copy(&names, &node->names);
	for (size_t i = 0; i < kept; i++)
		sim_names_apply(&names, &node->namings[i]);
	for (size_t i = 0; i < names.count; i++) {
		const struct sim_entry *entry = &names.items[i];
		int fd;

		if (!entry->node->folder) {
			crash_file(fate_of(disk, entry->node, keep, seed), entry->node, dir_fd,
			           entry->name);
			continue;
		}
		if (mkdirat(dir_fd, entry->name, 0700) != 0)
			abort();
		fd = openat(dir_fd, entry->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			abort();
		crash_folder(disk, entry->node, fd, keep, seed);
		if (close(fd) != 0)
			abort();
	}
	free(names.items);
}

void sim_crash(const struct simdisk *disk, const char *to, enum sim_keep keep, uint64_t seed)
{
	int fd;

	if (mkdir(to, 0700) != 0)
		abort();
	fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		abort();
	crash_folder(disk, disk->root_node, fd, keep, seed);
	if (close(fd) != 0)
		abort();
}
