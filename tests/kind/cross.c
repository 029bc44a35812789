/*
 * cross.c - whether one mount of a store shows at once what was written through another.
 *
 * cross WRITE READ BYTES SECONDS: WRITE and READ are the folders vectors/ of two mounts of one
 * store, whose vectors have so many bytes. Writers overwrite a few vectors by one folder; each
 * version is one number, over and over, which is noted when its close(2) has returned. Readers look
 * at the note, then open by the other folder, read the whole or in pieces, map, stat and list. No
 * read may mix versions, and none may be older than what was noted before its open.
 *
 * Prints what was done and what was wrong, one "NAME NUMBER" a line. Ends in 1 where anything was.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WRITERS 3
#define READERS 4
#define IDS (2 * WRITERS) /* two for each writer, so that nobody else writes them */
/* IDs that come and go: so many are there at a time. */
#define COMING_FIRST 1000u
#define COMING_LIVE 8u
#define CHUNK_BYTES 512u
#define PATH_BYTES 4096
#define NS_PER_S INT64_C(1000000000)

enum count {
	WRITES,
	READS,
	MAPS,
	STATS,
	LISTINGS,
	TORN, /* from here on none may be */
	STALE,
	MAPS_TORN,
	MAPS_STALE,
	STATS_WRONG,
	STATS_STALE,
	LISTINGS_WRONG,
	ERRORS,
	COUNTS,
};

static const char *const count_names[COUNTS] = {
	[WRITES] = "writes",
	[READS] = "reads",
	[MAPS] = "maps",
	[STATS] = "stats",
	[LISTINGS] = "listings",
	[TORN] = "torn",
	[STALE] = "stale",
	[MAPS_TORN] = "maps_torn",
	[MAPS_STALE] = "maps_stale",
	[STATS_WRONG] = "stats_wrong",
	[STATS_STALE] = "stats_stale",
	[LISTINGS_WRONG] = "listings_wrong",
	[ERRORS] = "errors",
};

static const char *write_folder, *read_folder;
static size_t vector_bytes;
static atomic_bool stopping;
static _Atomic uint64_t counts[COUNTS];
/* Of each vector: the version whose close has returned, when its open was called, and the newest
 * that was begun. */
static _Atomic uint64_t closed[IDS], begun[IDS];
static _Atomic int64_t closed_ns[IDS];
/* Of those that come and go: how many were begun to be made, are made, were begun to be removed,
 * are removed. */
static _Atomic uint64_t making, made, removing, removed;

static void count(enum count which)
{
	atomic_fetch_add(&counts[which], 1);
}

/* A call has failed that must not. */
static void failed(const char *what, uint64_t id)
{
	if (atomic_fetch_add(&counts[ERRORS], 1) < 10)
		fprintf(stderr, "%s of %" PRIu64 ": %s\n", what, id, strerror(errno));
	usleep(10000);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail with this clock */
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void path_of(char path[static PATH_BYTES], const char *folder, uint64_t id)
{
	(void)snprintf(path, PATH_BYTES, "%s/%" PRIu64, folder, id);
}

static void fill(uint64_t *words, uint64_t value)
{
	for (size_t i = 0; i < vector_bytes / sizeof(*words); i++)
		words[i] = value;
}

static bool write_vector(uint64_t id, const uint64_t *words, bool in_pieces)
{
	size_t piece = in_pieces ? CHUNK_BYTES : vector_bytes;
	char path[PATH_BYTES];
	bool good = true;
	int fd;

	path_of(path, write_folder, id);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return false;
	for (size_t at = 0; good && at < vector_bytes; at += piece) {
		size_t left = vector_bytes - at;
		size_t length = left < piece ? left : piece;

		good = write(fd, (const char *)words + at, length) == (ssize_t)length;
	}
	return (close(fd) == 0) & good;
}

static void *run_writer(void *arg)
{
	uint64_t first = 2 * (uint64_t)(uintptr_t)arg;
	uint64_t *words = malloc(vector_bytes);

	for (uint64_t version = 1; words != NULL && !stopping; version++) {
		uint64_t id = first + version % 2;
		int64_t start_ns = now_ns();

		fill(words, version);
		begun[id] = version;
		if (!write_vector(id, words, version % 4 == 0)) {
			failed("write", id);
			continue;
		}
		closed_ns[id] = start_ns;
		closed[id] = version;
		count(WRITES);
	}
	free(words);
	return NULL;
}

/* Makes new ones and removes the oldest. */
static void *run_comer(void *arg)
{
	uint64_t *words = malloc(vector_bytes);
	char path[PATH_BYTES];

	(void)arg;
	while (words != NULL && !stopping) {
		fill(words, ++making);
		if (!write_vector(COMING_FIRST + made, words, false))
			failed("create", COMING_FIRST + made);
		made++;
		if (made - removed <= COMING_LIVE)
			continue;
		path_of(path, write_folder, COMING_FIRST + removed);
		removing++;
		if (unlink(path) != 0)
			failed("unlink", COMING_FIRST + removed);
		removed++;
		usleep(5000);
	}
	/* Who looks next finds none of ours. */
	for (; removed < made; removed++) {
		path_of(path, write_folder, COMING_FIRST + removed);
		removing++;
		if (unlink(path) != 0)
			failed("unlink", COMING_FIRST + removed);
	}
	free(words);
	return NULL;
}

/* The version, which may be `lowest` at least; `torn` and `stale` count what is wrong. */
static void judge(const uint64_t *words, uint64_t id, uint64_t lowest, enum count torn,
                  enum count stale)
{
	for (size_t i = 1; i < vector_bytes / sizeof(*words); i++) {
		if (words[i] != words[0]) {
			count(torn);
			return;
		}
	}
	if (words[0] < lowest || words[0] > begun[id])
		count(stale);
}

/* All of it, or pieces with a pause here and there. */
static bool read_vector(int fd, uint64_t *words, unsigned *seed)
{
	bool in_pieces = rand_r(seed) % 2 != 0;
	size_t piece = in_pieces ? CHUNK_BYTES : vector_bytes;

	for (size_t at = 0; at < vector_bytes;) {
		ssize_t got = pread(fd, (char *)words + at, piece, (off_t)at);

		if (got <= 0)
			return false;
		at += (size_t)got;
		if (in_pieces && rand_r(seed) % 3 == 0)
			usleep(1000);
	}
	return true;
}

static void look_at_stat(uint64_t id)
{
	int64_t oldest_ns = closed_ns[id];
	char path[PATH_BYTES];
	struct stat st;

	path_of(path, read_folder, id);
	if (stat(path, &st) != 0) {
		failed("stat", id);
		return;
	}
	count(STATS);
	if (st.st_size != (off_t)vector_bytes)
		count(STATS_WRONG);
	if ((int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec < oldest_ns)
		count(STATS_STALE);
}

static void look_at_vector(uint64_t id, uint64_t *words, unsigned *seed)
{
	uint64_t lowest = closed[id], *map;
	char path[PATH_BYTES];
	int fd;

	path_of(path, read_folder, id);
	fd = open(path, O_RDONLY);
	if (fd < 0) {
		failed("open", id);
		return;
	}
	if (read_vector(fd, words, seed))
		judge(words, id, lowest, TORN, STALE);
	else
		failed("read", id);
	count(READS);
	map = rand_r(seed) % 3 == 0 ? mmap(NULL, vector_bytes, PROT_READ, MAP_PRIVATE, fd, 0)
	                            : MAP_FAILED;
	if (map != MAP_FAILED) {
		count(MAPS);
		judge(map, id, lowest, MAPS_TORN, MAPS_STALE);
		usleep(rand_r(seed) % 2000);
		judge(map, id, lowest, MAPS_TORN, MAPS_STALE);
		(void)munmap(map, vector_bytes); /* of what was mapped */
	}
	(void)close(fd); /* only read */
}

/* Those that come and go: what is there all the while once, what is not there at no moment never. */
static void look_at_listing(void)
{
	uint64_t gone = removed, there = made, end, seen = 0, bad = 0;
	DIR *folder = opendir(read_folder);
	struct dirent *entry;

	if (folder == NULL) {
		failed("opendir", 0);
		return;
	}
	while ((entry = readdir(folder)) != NULL) {
		uint64_t id = strtoull(entry->d_name, NULL, 10);

		if (id < COMING_FIRST)
			continue;
		id -= COMING_FIRST;
		bad += id < gone || id >= making;
		seen += id < there;
	}
	(void)closedir(folder); /* only read */
	end = removing; /* those from here on were there all the while */
	count(LISTINGS);
	if (bad != 0 || (there > end && seen < there - end))
		count(LISTINGS_WRONG);
}

static void *run_reader(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	uint64_t *words = malloc(vector_bytes);

	while (words != NULL && !stopping) {
		uint64_t id = (uint64_t)rand_r(&seed) % IDS;

		if (closed[id] == 0) {
			usleep(1000);
			continue;
		}
		look_at_vector(id, words, &seed);
		look_at_stat(id);
		if (rand_r(&seed) % 8 == 0)
			look_at_listing();
	}
	free(words);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[WRITERS + 1 + READERS];
	size_t started = 0;
	uint64_t wrong = 0;
	bool good = true;

	if (argc != 5) {
		fprintf(stderr, "usage: cross WRITE_FOLDER READ_FOLDER BYTES SECONDS\n");
		return 2;
	}
	write_folder = argv[1];
	read_folder = argv[2];
	vector_bytes = strtoul(argv[3], NULL, 10);
	if (vector_bytes == 0 || vector_bytes % CHUNK_BYTES != 0) {
		fprintf(stderr, "cross: a multiple of %u bytes is needed\n", CHUNK_BYTES);
		return 2;
	}
	for (uintptr_t i = 0; good && i < WRITERS; i++)
		good = pthread_create(&threads[started++], NULL, run_writer, (void *)i) == 0;
	good = good && pthread_create(&threads[started++], NULL, run_comer, NULL) == 0;
	for (uintptr_t i = 0; good && i < READERS; i++)
		good = pthread_create(&threads[started++], NULL, run_reader, (void *)(i + 1)) == 0;
	if (!good) {
		fprintf(stderr, "cross: no thread\n");
		return 2;
	}
	sleep((unsigned)strtoul(argv[4], NULL, 10));
	stopping = true;
	for (size_t i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL); /* they are ours */
	for (unsigned i = 0; i < COUNTS; i++) {
		printf("%s %" PRIu64 "\n", count_names[i], counts[i]);
		wrong += i >= TORN ? counts[i] : 0;
	}
	return wrong != 0;
}
