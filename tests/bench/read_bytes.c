/*
 * read_bytes.c - only reading the bytes of a file through a map of it, the limit of what any exact
 * search can do. A module, which nearest_peers.py loads.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)1 << 20)
#define THREADS_MAX 64u
/* As many loads are under way at once, or they wait for each other's sum. */
#define SUMS 8u

/* The widest vector there is; where the processor has narrower ones it is several of them. */
typedef uint64_t wide __attribute__((vector_size(64)));

/* Chosen when the module is loaded. */
#if defined(__x86_64__)
#define BEST_ISA __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define BEST_ISA
#endif

struct reading {
	const unsigned char *bytes;
	size_t length;
	_Atomic size_t next; /* the first chunk that nobody has taken */
	_Atomic uint64_t sum;
};

int read_bytes_map(const char *path, const unsigned char **bytes, size_t *length);
uint64_t read_bytes_sum(const unsigned char *bytes, size_t length, unsigned threads);

/* `length` is a multiple of SUMS * 64, `bytes` of 64. */
BEST_ISA static uint64_t sum_of(const unsigned char *bytes, size_t length)
{
	const wide *at = (const wide *)(const void *)bytes;
	wide sums[SUMS] = { 0 };
	uint64_t sum = 0;

	for (size_t i = 0; i < length / sizeof(wide); i += SUMS) {
		for (unsigned k = 0; k < SUMS; k++)
			sums[k] += at[i + k];
	}
	for (unsigned k = 0; k < SUMS; k++) {
		for (unsigned j = 0; j < sizeof(wide) / sizeof(uint64_t); j++)
			sum += sums[k][j];
	}
	return sum;
}

static void *read_chunks(void *arg)
{
	struct reading *reading = arg;
	uint64_t sum = 0;
	size_t from;

	while ((from = atomic_fetch_add(&reading->next, CHUNK_BYTES)) < reading->length) {
		size_t left = reading->length - from;
		size_t length = left < CHUNK_BYTES ? left : CHUNK_BYTES;

		sum += sum_of(reading->bytes + from, length - length % (SUMS * sizeof(wide)));
	}
	atomic_fetch_add(&reading->sum, sum);
	return NULL;
}

/* Maps the whole file, populated. 0 or an errno. The map stays until the process ends. */
int read_bytes_map(const char *path, const unsigned char **bytes, size_t *length)
{
	struct stat st;
	void *map;
	int err = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	if (fstat(fd, &st) != 0) {
		err = errno;
		goto out;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED) {
		err = errno;
		goto out;
	}
	*bytes = map;
	*length = (size_t)st.st_size;
out:
	(void)close(fd); /* only read */
	return err;
}

/* The sum of the words, so that nobody can leave out the reading; by `threads` threads, the caller one
 * of them. Where one cannot be made the others do its work. */
uint64_t read_bytes_sum(const unsigned char *bytes, size_t length, unsigned threads)
{
	struct reading reading = { .bytes = bytes, .length = length };
	pthread_t others[THREADS_MAX];
	unsigned made = 0;

	while (made + 1 < threads && made < THREADS_MAX &&
	       pthread_create(&others[made], NULL, read_chunks, &reading) == 0)
		made++;
	(void)read_chunks(&reading);
	for (unsigned i = 0; i < made; i++)
		(void)pthread_join(others[i], NULL);
	return reading.sum;
}
