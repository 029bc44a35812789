/*
 * replay.c - a fuzz target without a fuzzer: runs it on each file of the folders given. What a
 * fuzzer has once found stays in tests/fuzz/cases and is tried with every compiler.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

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

int main(int argc, char **argv)
{

	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
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
