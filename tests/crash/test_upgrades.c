/*
 * test_upgrades.c - the kept stores of format 1 are opened for writing on a simulated disk that
 * crashes on the way, in every way: what it leaves is a store of either version, whole.
 *
 * usage: test_upgrades STORES TRUTHS [--store NAME] [--all] [--talk]
 *
 * STORES has the unpacked stores, TRUTHS the files that say what they hold. Between the first
 * write of meta.npy.new and the end of the upgrade it crashes at every event, before that at some
 * of them, with --all (and QUIVERFS_TEST_LONG) at all. Prints TAP, a case for each store.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xxhash.h>

#include "../fault/folder.h"
#include "../old/truth.h"
#include "chance.h"
#include "engine/media/superblock.h"
#include "simdisk.h"
#include "tests/common/remove.h"

#define NAMES_MAX 64
#define TRIES 2 /* of each way of crashing, at each event of an upgrade */
#define BEFORE_PERCENT 6 /* of the events before it */
#define FRESH_ID UINT64_C(123456789)

struct arguments {
	const char *stores;
	const char *truths;
	const char *only;
	bool all;
	bool talks;
};

struct play {
	const struct arguments *arguments;
	const char *name;
	struct truth truth;
	struct image image; /* the store as it was kept */
	char base[FOLDER_PATH_BYTES];
	char root[FOLDER_PATH_BYTES + 8];
	struct simdisk *disk;
	struct chance chance;
	uint64_t event;
	bool upgrading; /* meta.npy.new has been seen */
	unsigned since; /* events since it has gone */
	enum sim_keep keep; /* of the crash that is looked at */
	const char *where; /* it was */
	uint64_t crashes;
	uint64_t seen_new, seen_2; /* of them, such that had meta.npy.new, and version 2 */
};

static void say(const struct play *play, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void fail(const struct play *play, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

static void say(const struct play *play, const char *format, ...)
{
	va_list args;

	if (!play->arguments->talks)
		return;
	va_start(args, format);
	fprintf(stderr, "# ");
	(void)vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
}

static void fail(const struct play *play, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "# %s, event %" PRIu64 ", %s (%s): ", play->name, play->event, play->where,
	        sim_keep_name(play->keep));
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	folder_remove(play->base);
	exit(1);
}

static void path_of(const struct play *play, char path[FOLDER_PATH_BYTES + 8], unsigned number)
{
	(void)snprintf(path, FOLDER_PATH_BYTES + 8, "%s/%u", play->base, number);
}

static bool has_file(const char *path, const char *name)
{
	char full[FOLDER_PATH_BYTES + 64];

	(void)snprintf(full, sizeof(full), "%s/%s", path, name);
	return access(full, F_OK) == 0;
}

/* The newer valid copy of the superblock; the number of those that are not valid. */
static unsigned superblock_at(const char *path, struct superblock *newest)
{
	uint8_t file[SUPERBLOCK_FILE_BYTES] = { 0 };
	char full[FOLDER_PATH_BYTES + 64];
	struct superblock sb;
	unsigned bad = 0;
	FILE *from;

	(void)snprintf(full, sizeof(full), "%s/superblock", path);
	from = fopen(full, "re");
	if (!from || fread(file, 1, sizeof(file), from) != sizeof(file) || fclose(from) != 0)
		abort();
	newest->version = 0;
	for (unsigned copy = 0; copy < 2; copy++)
		if (superblock_decode(file + copy * SUPERBLOCK_COPY_BYTES, copy, &sb) != 0)
			bad++;
		else if (!newest->version || sb.sequence > newest->sequence)
			*newest = sb;
	return bad;
}

static uint32_t version_at(const char *path)
{
	struct superblock sb;

	(void)superblock_at(path, &sb);
	return sb.version;
}

/* ---- what must hold of a store at `path` ---- */

struct heard {
	const struct play *play;
	char first[256];
};

static void hear(void *arg, const char *line)
{
	struct heard *heard = arg;

	say(heard->play, "  check: %s", line);
	if (!heard->first[0])
		(void)snprintf(heard->first, sizeof(heard->first), "%s", line);
}

static bool same_image(const struct image *a, struct image *b)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct image_file *file = &a->files[i];
		const struct image_file *other = image_find(b, file->name);

		if (strcmp(file->name, "LOCK") != 0 &&
		    (!other || file->size != other->size || file->kept != other->kept ||
		     memcmp(file->bytes, other->bytes, file->kept) != 0))
			return false;
	}
	return a->count == b->count;
}

/* It looks, and changes nothing. */
static void check(const struct play *play, const char *path, bool closed)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct heard heard = { .play = play };
	struct superblock sb;
	struct image before;
	struct image after;
	bool damaged;
	int r;

	image_load(&before, path);
	r = quiver_check(path, false, hear, &heard, &result, &error);
	image_load(&after, path);
	if (!same_image(&before, &after))
		fail(play, "check has changed something");
	image_free(&before);
	image_free(&after);
	if (r)
		fail(play, "check: %s", error.text);
	damaged = play->truth.has_damage || play->truth.refused;
	/* Some are kept with a copy that is bad. */
	if (play->truth.repaired)
		damaged = false;
	if ((result.damage > 0) != damaged && superblock_at(path, &sb) == 0)
		fail(play, "check finds %" PRIu64 " faults: %s", result.damage, heard.first);
	if (closed && !result.clean)
		fail(play, "check: not clean after a close");
}

static void on_report(void *arg, const char *line)
{
	say(arg, "  store: %s", line);
}

static int open_at(struct play *play, const char *path, const struct quiver_io *io, bool read_only,
                   struct quiver **store)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = read_only,
		                          .commit_interval_ms = 1000000000,
		                          .io = io,
		                          .on_report = on_report,
		                          .on_report_arg = play };
	struct quiver_error error = { "" };
	int r = quiver_open(path, &options, store, &error);

	if (r && !error.text[0])
		fail(play, "open refuses (%s) without a word", strerror(-r));
	say(play, "  open: %s", r ? error.text : "goes well");
	return r;
}

static void compare(const struct play *play, struct quiver *store, bool dir, const char *when)
{
	const char *why = truth_compare(&play->truth, store, dir);

	if (why)
		fail(play, "%s: %s", when, why);
}

static void close_store(const struct play *play, struct quiver *store)
{
	int r = quiver_close(store);

	if (r)
		fail(play, "close: %s", strerror(-r));
}

static struct quiver *must_open(struct play *play, const char *path, const struct quiver_io *io,
                                bool read_only)
{
	struct quiver *store = NULL;
	int r = open_at(play, path, io, read_only, &store);

	if (r)
		fail(play, "does not open%s: %s", read_only ? " to read" : "", strerror(-r));
	return store;
}

/* Who may only read sees all, and makes nothing of it that is new. */
static void read_only(struct play *play, const char *path)
{
	uint32_t version = version_at(path);
	struct quiver *store = must_open(play, path, NULL, true);

	compare(play, store, true, "read only");
	close_store(play, store);
	if (version_at(path) != version)
		fail(play, "reading has made version %u of version %u", version_at(path), version);
}

/* A commit or two: they take effect, and nothing else has. */
static void go_on(const struct play *play, struct quiver *store)
{
	static const uint8_t bytes[4096];
	struct quiver_attr attr = { .mtime_ns = 1, .mode = 0600 };
	struct quiver_attr is;

	if (quiver_put(store, FRESH_ID, bytes, &attr, QUIVER_ATTR_ALL, 0, NULL) != 0 ||
	    quiver_stat(store, FRESH_ID, 0, &is, NULL) != 0 || is.ctime_ns <= is.mtime_ns ||
	    quiver_remove(store, FRESH_ID, 0, NULL) != 0)
		fail(play, "no commits are taken");
}

static void refused(struct play *play, const char *path)
{
	struct quiver *store = NULL;
	int r = open_at(play, path, NULL, false, &store);

	if (r != -EUCLEAN)
		fail(play, "is opened, though its damage was refused: %s", strerror(-r));
}

/* In a store that is in use nothing tells a row that is damaged from one that went with what it
 * was: it is refused, and a repair moves the row aside. With the index that the upgrade has kept the
 * rows are not read at an open: then the damage shows when it is asked for. */
static void repair(struct play *play, const char *path)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct quiver *store = NULL;
	struct superblock sb;

	(void)superblock_at(path, &sb);
	if (sb.index_generation != 0 && open_at(play, path, NULL, false, &store) == 0) {
		close_store(play, store);
		return;
	}
	refused(play, path);
	if (quiver_check(path, true, NULL, NULL, &result, &error) != 0)
		fail(play, "repair: %s", error.text);
	play->truth.repaired = true;
}

/* Whether it is so that such damage is in the way. */
static bool wants_repair(const struct play *play, const char *path)
{
	struct superblock sb;

	(void)superblock_at(path, &sb);
	return play->truth.lacks_row && !sb.clean;
}

/* It is a store of version 2, with nothing left over, and serves what it should. */
static void upgraded(struct play *play, const char *path)
{
	struct quiver *store;

	if (wants_repair(play, path))
		repair(play, path);
	store = must_open(play, path, NULL, false);
	compare(play, store, true, "opened");
	if (version_at(path) != QUIVER_FORMAT_VERSION)
		fail(play, "opened for writing, and still of version %u", version_at(path));
	if (has_file(path, "meta.npy.new"))
		fail(play, "meta.npy.new is still there");
	go_on(play, store);
	close_store(play, store);
	check(play, path, true);
	store = must_open(play, path, NULL, true);
	compare(play, store, false, "opened again");
	close_store(play, store);
	play->truth.repaired = false;
}

/* ---- crashes ---- */

struct second {
	struct play *play;
	struct simdisk *disk;
	uint64_t at; /* the event of the second crash */
	const char *image;
};

static void on_second(void *arg)
{
	struct second *second = arg;

	if (second->at-- != 0)
		return;
	sim_crash(second->disk, second->image, second->play->keep,
	          chance_next(&second->play->chance));
}

/* What a crash has left crashes once more while it is opened. False where it was not reached. */
static bool crash_again(struct play *play, const char *path, const char *image)
{
	struct second second = { .play = play, .disk = sim_new(path), .image = image };
	struct quiver *store;

	second.at = chance_below(&play->chance, chance_percent(&play->chance, 50) ? 8 : 60);
	sim_use_maps(second.disk);
	sim_on_event(second.disk, on_second, &second);
	store = must_open(play, path, sim_io(second.disk), false);
	sim_on_event(second.disk, NULL, NULL);
	compare(play, store, true, "opened before a second crash");
	(void)quiver_close(store); /* on a disk that nobody looks at again */
	sim_free(second.disk);
	return second.at == UINT64_MAX;
}

static void look_at(struct play *play, const char *path, unsigned depth)
{
	char image[FOLDER_PATH_BYTES + 8];

	check(play, path, false);
	play->seen_new += has_file(path, "meta.npy.new");
	play->seen_2 += version_at(path) == QUIVER_FORMAT_VERSION;
	if (play->truth.refused) {
		refused(play, path);
		return;
	}
	if (!wants_repair(play, path) && chance_percent(&play->chance, 30))
		read_only(play, path);
	if (depth == 1 && !wants_repair(play, path) && chance_percent(&play->chance, 40)) {
		path_of(play, image, depth + 1);
		if (crash_again(play, path, image)) {
			play->where = "crashed again while it was opened";
			look_at(play, image, depth + 1);
		}
		if (test_remove(image) != 0)
			abort();
		return;
	}
	upgraded(play, path);
}

static void crash_here(struct play *play, enum sim_keep keep, const char *where)
{
	char image[FOLDER_PATH_BYTES + 8];

	play->keep = keep;
	play->where = where;
	path_of(play, image, 1);
	say(play, "event %" PRIu64 ": crash, %s", play->event, sim_keep_name(keep));
	sim_crash(play->disk, image, keep, chance_next(&play->chance));
	look_at(play, image, 1);
	if (test_remove(image) != 0)
		abort();
	play->crashes++;
}

static void crash_everyhow(struct play *play, unsigned tries, const char *where)
{
	for (unsigned i = 0; i < tries * SIM_KEEP_COUNT; i++)
		crash_here(play, (enum sim_keep)(i % SIM_KEEP_COUNT), where);
}

static void on_event(void *arg)
{
	struct play *play = arg;
	bool now = has_file(play->root, "meta.npy.new");

	play->event++;
	play->upgrading = play->upgrading || now;
	play->since += play->upgrading && !now;
	/* The rename, the sync of the folder, and what comes next. */
	if (play->upgrading && play->since < 6)
		crash_everyhow(play, play->arguments->all ? 4 * TRIES : TRIES, "upgrading");
	else if (play->arguments->all || chance_percent(&play->chance, BEFORE_PERCENT))
		crash_here(play, (enum sim_keep)chance_below(&play->chance, SIM_KEEP_COUNT),
		           "opening");
}

static void lay_out(struct play *play)
{
	if (test_remove(play->root) != 0)
		abort();
	image_write(&play->image, play->root);
	play->disk = sim_new(play->root);
	if (chance_percent(&play->chance, 66))
		sim_use_maps(play->disk);
	play->event = 0;
	play->upgrading = false;
	play->since = 0;
}

static void crash_at_events(struct play *play)
{
	struct quiver *store = NULL;
	int r;

	lay_out(play);
	play->where = "opening";
	sim_on_event(play->disk, on_event, play);
	r = open_at(play, play->root, sim_io(play->disk), false, &store);
	sim_on_event(play->disk, NULL, NULL);
	if (r != (play->truth.refused ? -EUCLEAN : 0))
		fail(play, "open: %s", strerror(-r));
	if (r == 0) {
		if (!play->upgrading || play->since == 0)
			fail(play, "nothing was upgraded");
		compare(play, store, true, "at first");
		crash_everyhow(play, 1, "open");
		close_store(play, store);
		crash_everyhow(play, 1, "closed");
	}
	sim_free(play->disk);
}

/* What only makes the next open shorter: the open goes on without it. The folder's syncs are those of
 * such files, too: that of meta.npy is told apart by what the crashes then leave. */
static bool is_of_index(const char *name)
{
	return strcmp(name, ".") == 0 || strncmp(name, "index", 5) == 0 ||
	       strncmp(name, "regions", 7) == 0;
}

/* The sync number `after` fails: so does the open, but for one of the index, and the next goes
 * well. False where there are no more syncs. */
static bool fail_a_sync(struct play *play, unsigned after)
{
	struct quiver *store = NULL;
	bool failed;
	bool opened;
	int r;

	lay_out(play);
	play->where = "after a sync that failed";
	play->event = after;
	sim_fail_sync(play->disk, after, chance_next(&play->chance));
	r = open_at(play, play->root, sim_io(play->disk), false, &store);
	failed = sim_failed_sync(play->disk) != NULL;
	opened = r == 0;
	if (failed && opened && !is_of_index(sim_failed_sync(play->disk)))
		fail(play, "opened though a sync of %s failed", sim_failed_sync(play->disk));
	if (failed)
		say(play, "the sync of %s has failed", sim_failed_sync(play->disk));
	sim_fail_no_sync(play->disk);
	if (r && !failed)
		fail(play, "open: %s", strerror(-r));
	if (!opened) {
		crash_everyhow(play, 1, "after a sync that failed");
		if (wants_repair(play, play->root)) {
			sim_free(play->disk);
			return true;
		}
		store = must_open(play, play->root, sim_io(play->disk), false);
	}
	compare(play, store, true, "opened again after a sync that failed");
	crash_everyhow(play, 1, "opened again after a sync that failed");
	close_store(play, store);
	crash_everyhow(play, 1, "closed after a sync that failed");
	sim_free(play->disk);
	return failed;
}

/* What is damaged is repaired as it is, of version 1, and upgraded when the repair opens it at its
 * end: all the rest is there. */
static void repair_first(struct play *play)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct quiver *store;

	lay_out(play);
	play->where = "repaired first";
	if (quiver_check(play->root, true, NULL, NULL, &result, &error) != 0)
		fail(play, "repair: %s", error.text);
	if (result.damage == 0 || result.repaired < result.damage)
		fail(play, "repair: %" PRIu64 " faults, %" PRIu64 " put right", result.damage,
		     result.repaired);
	play->truth.repaired = true;
	play->truth.refused = false;
	check(play, play->root, false);
	store = must_open(play, play->root, NULL, false);
	if (play->truth.count > 0)
		compare(play, store, false, "repaired and upgraded");
	else if (quiver_count(store) == 0)
		fail(play, "nothing is left by the repair");
	go_on(play, store);
	close_store(play, store);
	check(play, play->root, true);
	sim_free(play->disk);
}

static void play_store(const struct arguments *arguments, const char *name)
{
	static struct play play;
	char path[FOLDER_PATH_BYTES + 64];
	unsigned after = 0;

	play.arguments = arguments;
	play.name = name;
	play.chance = chance_of(test_seed(), XXH3_64bits(name, strlen(name)));
	(void)snprintf(path, sizeof(path), "%s/%s.truth", arguments->truths, name);
	truth_load(&play.truth, path);
	(void)snprintf(path, sizeof(path), "%s/%s", arguments->stores, name);
	image_load(&play.image, path);
	folder_make(play.base);
	path_of(&play, play.root, 0);
	crash_at_events(&play);
	if (!play.truth.refused)
		while (fail_a_sync(&play, after))
			after++;
	if (play.truth.refused || play.truth.has_damage)
		repair_first(&play);
	printf("# %s: %" PRIu64 " crashes, %" PRIu64 " with meta.npy.new, %" PRIu64
	       " of version 2; %u failed syncs\n",
	       name, play.crashes, play.seen_new, play.seen_2, after);
	folder_remove(play.base);
	image_free(&play.image);
	truth_free(&play.truth);
}

/* ---- all stores ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static size_t list_names(const struct arguments *arguments, char names[NAMES_MAX][NAME_MAX + 1])
{
	DIR *dir = opendir(arguments->stores);
	struct dirent *entry;
	size_t count = 0;

	if (!dir) {
		fprintf(stderr, "%s: %s\n", arguments->stores, strerror(errno));
		exit(2);
	}
	while ((entry = readdir(dir)) != NULL && count < NAMES_MAX)
		if (entry->d_name[0] != '.' &&
		    (!arguments->only || strcmp(arguments->only, entry->d_name) == 0))
			(void)snprintf(names[count++], NAME_MAX + 1, "%s", entry->d_name);
	(void)closedir(dir); /* was only read */
	qsort(names, count, NAME_MAX + 1, by_name);
	return count;
}

/* In a child, so that one that fails is a case like any other. */
static bool play_apart(const struct arguments *arguments, const char *name)
{
	int status;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		play_store(arguments, name);
		(void)fflush(NULL);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFSIGNALED(status))
		fprintf(stderr, "# %s: killed by %s\n", name, strsignal(WTERMSIG(status)));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool wants_long(void)
{
	const char *text = getenv("QUIVERFS_TEST_LONG");

	return text && *text && strcmp(text, "0") != 0;
}

int main(int argc, char **argv)
{
	static char names[NAMES_MAX][NAME_MAX + 1];
	struct arguments arguments = { .all = wants_long() };
	size_t failed = 0;
	size_t count;

	if (argc < 3) {
		fprintf(stderr, "usage: test_upgrades STORES TRUTHS [--store NAME] [--all] "
		                "[--talk]\n");
		return 2;
	}
	arguments.stores = argv[1];
	arguments.truths = argv[2];
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "--store") == 0 && i + 1 < argc)
			arguments.only = argv[++i];
		arguments.all = arguments.all || strcmp(argv[i], "--all") == 0;
		arguments.talks = arguments.talks || strcmp(argv[i], "--talk") == 0;
	}
	(void)test_seed(); /* told once */
	count = list_names(&arguments, names);
	printf("1..%zu\n", count);
	for (size_t i = 0; i < count; i++) {
		bool ok = play_apart(&arguments, names[i]);

		printf("%s %zu - %s\n", ok ? "ok" : "not ok", i + 1, names[i]);
		(void)fflush(stdout);
		failed += !ok;
	}
	return failed > 0;
}
