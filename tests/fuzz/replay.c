/*
 * replay.c - a fuzz target without a fuzzer: runs it on its seeds and on each file of the
 * folders given. What a fuzzer has once found stays in tests/fuzz/cases and is tried with every
 * compiler. With --seeds FOLDER it writes the seeds there, for the fuzzer.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

/* Inputs of the fuzzer are no longer (run_fuzzer). */
#define SEED_BYTES_MAX 2048u

static void run_file(const char *folder, const char *name)
{
	char path[1024];
	struct stat st;
	uint8_t *bytes;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && fstat(fd, &st) == 0);
	bytes = malloc((size_t)st.st_size + 1);
	FUZZ_CHECK(bytes && read(fd, bytes, (size_t)st.st_size) == st.st_size);
	FUZZ_CHECK(close(fd) == 0);
	printf("# %s\n", path);
	fflush(stdout);
	(void)LLVMFuzzerTestOneInput(bytes, (size_t)st.st_size);
	free(bytes);
}

static void write_seed(const char *folder, unsigned number, const uint8_t *bytes, size_t size)
{
	char path[1024];
	int fd;

	snprintf(path, sizeof(path), "%s/seed-%03u", folder, number);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FUZZ_CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && close(fd) == 0);
}

/* Each seed is tried, or written to `folder`. */
static void all_seeds(const char *folder)
{
	static uint8_t bytes[SEED_BYTES_MAX];
	size_t size;

	for (unsigned i = 0; (size = fuzz_seed(i, bytes, sizeof(bytes))) != FUZZ_NO_SEED; i++)
		if (folder)
			write_seed(folder, i, bytes, size);
		else
			(void)LLVMFuzzerTestOneInput(bytes, size);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--seeds") == 0) {
		all_seeds(argv[2]);
		return 0;
	}
	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	all_seeds(NULL);
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *entry;

		if (!dir)
			continue; /* nothing found yet */
		for (; (entry = readdir(dir)) != NULL;)
			if (entry->d_name[0] != '.')
				run_file(argv[i], entry->d_name);
		FUZZ_CHECK(closedir(dir) == 0);
	}
	return 0;
}
