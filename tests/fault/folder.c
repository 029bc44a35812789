#include "folder.h"
#include "tests/common/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZERO_BLOCK 4096u

/* Those of a store that have files that count. */
static const char *const folders[] = { "wal/", "snapshots/" };
#define FOLDERS (sizeof(folders) / sizeof(folders[0]))

static void die(const char *what, const char *name)
{
	fprintf(stderr, "%s %s: %s\n", what, name, strerror(errno));
	abort();
}

void folder_make(char path[FOLDER_PATH_BYTES])
{
	const char *base = getenv("TMPDIR");

	if (!base)
		base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(path, FOLDER_PATH_BYTES, "%s/quiver-fault-XXXXXX", base);
	if (!mkdtemp(path))
		die("mkdtemp", path);
}

void folder_remove(const char *path)
{
	if (test_remove(path) != 0)
		die("remove", path);
}

/* Bytes up to the last block that is not all zero. */
static uint64_t kept_bytes(int fd, uint64_t size)
{
	static const uint8_t zeros[ZERO_BLOCK];
	uint8_t block[ZERO_BLOCK];
	uint64_t kept = 0;

	for (off_t at = lseek(fd, 0, SEEK_DATA); at >= 0 && (uint64_t)at < size;) {
		ssize_t n = pread(fd, block, sizeof(block), at);

		if (n <= 0)
			break;
		if (memcmp(block, zeros, (size_t)n) != 0)
			kept = (uint64_t)(at + n);
		at = lseek(fd, at + n, SEEK_DATA);
	}
	return kept;
}

static void load_file(struct image *image, const char *path, const char *name)
{
	struct image_file *file = &image->files[image->count++];
	char full[FOLDER_PATH_BYTES + 320];
	struct stat st;
	int fd;

	if (image->count > IMAGE_FILES_MAX)
		die("too many files", name);
	snprintf(full, sizeof(full), "%s/%s", path, name);
	snprintf(file->name, sizeof(file->name), "%s", name);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		die("open", full);
	file->size = (uint64_t)st.st_size;
	file->kept = kept_bytes(fd, file->size);
	file->bytes = malloc(file->kept + 1);
	if (!file->bytes || pread(fd, file->bytes, file->kept, 0) != (ssize_t)file->kept)
		die("read", full);
	if (close(fd) != 0)
		die("close", full);
}

static void load_folder(struct image *image, const char *path, const char *below)
{
	char full[FOLDER_PATH_BYTES + 320];
	char name[300];
	struct dirent *entry;
	DIR *dir;

	snprintf(full, sizeof(full), "%s/%s", path, below);
	dir = opendir(full);
	if (!dir && errno == ENOENT && below[0] != '\0')
		return;
	if (!dir)
		die("opendir", full);
	while ((entry = readdir(dir)) != NULL) {
		snprintf(name, sizeof(name), "%s%s", below, entry->d_name);
		if (entry->d_type == DT_REG)
			load_file(image, path, name);
	}
	if (closedir(dir) != 0)
		die("closedir", full);
}

void image_load(struct image *image, const char *path)
{
	image->count = 0;
	load_folder(image, path, "");
	for (size_t i = 0; i < FOLDERS; i++)
		load_folder(image, path, folders[i]);
}

/* The folder of a file, where it is not there yet. */
static void make_folder_of(const char *path, const char *name)
{
	char full[FOLDER_PATH_BYTES + 320];
	const char *slash = strchr(name, '/');

	if (!slash)
		return;
	snprintf(full, sizeof(full), "%s/%.*s", path, (int)(slash - name), name);
	if (mkdir(full, 0700) != 0 && errno != EEXIST)
		die("mkdir", full);
}

void image_write(const struct image *image, const char *path)
{
	char full[FOLDER_PATH_BYTES + 320];

	if (mkdir(path, 0700) != 0)
		die("mkdir", path);
	make_folder_of(path, folders[0]);
	for (size_t i = 0; i < image->count; i++) {
		const struct image_file *file = &image->files[i];
		int fd;

		make_folder_of(path, file->name);
		snprintf(full, sizeof(full), "%s/%s", path, file->name);
		fd = open(full, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, file->bytes, file->kept) != (ssize_t)file->kept ||
		    ftruncate(fd, (off_t)file->size) != 0 || close(fd) != 0)
			die("write", full);
	}
}

void image_free(struct image *image)
{
	for (size_t i = 0; i < image->count; i++)
		free(image->files[i].bytes);
	image->count = 0;
}

struct image_file *image_find(struct image *image, const char *name)
{
	for (size_t i = 0; i < image->count; i++)
		if (strcmp(image->files[i].name, name) == 0)
			return &image->files[i];
	return NULL;
}
