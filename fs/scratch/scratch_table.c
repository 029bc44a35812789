/* scratch_table.c - the table of scratch files and their folders. */
#include "fs/scratch/scratch_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attr.h"
#include "fs/base/caller.h"
#include "fs/base/charge.h"
#include "fs/base/clock.h"
#include "fs/base/view_bytes.h"
#include "fs/scratch/scratch.h"
#include "fs/scratch/scratch_names.h"

#define NS_PER_MS 1000000

static void free_file(struct fs *fs, struct scratch_file *file)
{
	charge_give(fs, CHARGE_SCRATCH_FILES, file->uid, 1);
	charge_give(fs, CHARGE_SCRATCH_BYTES, file->uid, file->capacity);
	free(file->data);
	free(file);
}

int scratch_new(struct scratch **scratch)
{
	struct scratch *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&s->lock, NULL); /* cannot fail with defaults, */
	(void)pthread_cond_init(&s->settled, NULL); /* nor can this */
	/* The numbers begin again with each mount, and file handles live on: another
	 * generation, in the 32 bits that the kernel keeps of it. */
	s->generation = (uint32_t)(clock_now_ns() / NS_PER_MS);
	s->serial = SCRATCH_FIRST_SERIAL;
	*scratch = s;
	return 0;
}

void scratch_free(struct fs *fs, struct scratch *scratch)
{
	struct scratch_file *file, *newer;

	if (scratch == NULL)
		return;
	for (file = scratch->oldest; file != NULL; file = newer) {
		newer = file->newer;
		free(file->name);
		free_file(fs, file);
	}
	pthread_cond_destroy(&scratch->settled);
	pthread_mutex_destroy(&scratch->lock);
	free(scratch);
}

void scratch_lock(struct fs *fs)
{
	pthread_mutex_lock(&fs->scratch->lock);
}

void scratch_unlock(struct fs *fs)
{
	pthread_mutex_unlock(&fs->scratch->lock);
}

/* FNV-1a, from the folder's number on. */
static struct scratch_file **name_bucket(struct scratch *s, uint64_t parent, const char *name)
{
	uint32_t hash = 2166136261u ^ (uint32_t)parent;

	for (const char *p = name; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	return &s->names[hash % SCRATCH_BUCKETS];
}

static struct scratch_file **ino_bucket(struct scratch *s, uint64_t ino)
{
	return &s->inos[ino % SCRATCH_BUCKETS];
}

struct scratch_file *scratch_find_name(struct scratch *s, uint64_t parent, const char *name)
{
	struct scratch_file *file = *name_bucket(s, parent, name);

	while (file != NULL && (file->parent != parent || strcmp(file->name, name) != 0))
		file = file->by_name;
	return file;
}

struct scratch_file *scratch_find(struct fs *fs, uint64_t ino)
{
	struct scratch_file *file = *ino_bucket(fs->scratch, ino);

	while (file != NULL && file->ino != ino)
		file = file->by_ino;
	return file;
}

void scratch_touch_dir(struct fs *fs, uint64_t parent)
{
	struct scratch_file *folder = scratch_find(fs, parent);
	int64_t now_ns = clock_now_ns();

	if (folder != NULL)
		scratch_changed(folder);
	if (parent != TREE_VECTORS)
		return;
	atomic_store(&fs->scratch_mtime_ns, now_ns);
	atomic_store(&fs->scratch_ctime_ns, now_ns);
}

uint32_t scratch_least_limit(const struct fs *fs)
{
	uint32_t bytes = fs->geometry.vector_bytes;

	return bytes > SCRATCH_FILE_BYTES_MIN ? bytes : SCRATCH_FILE_BYTES_MIN;
}

/* The temporary file of a view, as ".42.txt.Xy12Zw" of rsync is, may be as long as that. */
static uint32_t limit_of(const struct fs *fs, const char *name)
{
	uint32_t limit = scratch_least_limit(fs);
	bool any = scratch_is_anonymous(name);

	for (enum tree_form form = TREE_FORM_NPY; form <= TREE_FORM_TXT; form++) {
		size_t most = view_bytes_max(&fs->geometry, form);

		if ((any || strstr(name, tree_form_suffix(form)) != NULL) && most > limit)
			limit = (uint32_t)most;
	}
	return limit;
}

/* Names are counted: those of folders, and those in each folder. */
static void count_name(struct fs *fs, const struct scratch_file *file, int by)
{
	struct scratch_file *folder = scratch_find(fs, file->parent);

	if (folder != NULL)
		folder->names += (unsigned)by;
	if (scratch_is_folder(file))
		fs->scratch->folders += (unsigned)by;
}

void scratch_set_name(struct fs *fs, struct scratch_file *file, uint64_t parent, char *name)
{
	struct scratch_file **bucket = name_bucket(fs->scratch, parent, name);

	file->attr.ctime_ns = clock_now_ns();
	file->parent = parent;
	file->name = name;
	file->by_name = *bucket;
	*bucket = file;
	file->limit = limit_of(fs, name);
	count_name(fs, file, 1);
}

void scratch_clear_name(struct fs *fs, struct scratch_file *file)
{
	struct scratch_file **p = name_bucket(fs->scratch, file->parent, file->name);

	while (*p != file)
		p = &(*p)->by_name;
	*p = file->by_name;
	free(file->name);
	file->name = NULL;
	file->attr.ctime_ns = clock_now_ns();
	count_name(fs, file, -1);
}

void scratch_changed(struct scratch_file *file)
{
	file->attr.mtime_ns = file->attr.ctime_ns = clock_now_ns();
}

void scratch_reap(struct fs *fs, struct scratch_file *file)
{
	struct scratch *s = fs->scratch;
	struct scratch_file **p = ino_bucket(s, file->ino);

	if (file->name != NULL || file->opens > 0 || file->lookups > 0 || file->leaving)
		return;
	while (*p != file)
		p = &(*p)->by_ino;
	*p = file->by_ino;
	if (file->newer != NULL)
		file->newer->older = file->older;
	else
		s->newest = file->older;
	if (file->older != NULL)
		file->older->newer = file->newer;
	else
		s->oldest = file->newer;
	s->count--;
	free_file(fs, file);
}

struct scratch_heir scratch_closed(struct fs *fs, struct scratch_file *file)
{
	struct scratch_heir heir = { .ops = NULL };

	if (--file->opens == 0) {
		heir = file->heir;
		file->heir = (struct scratch_heir){ .ops = NULL };
		scratch_reap(fs, file);
	}
	return heir;
}

int scratch_reserve(struct fs *fs, struct scratch_file *file, uint32_t size)
{
	/* Most become a vector: one piece of N bytes. */
	uint64_t capacity = fs->geometry.vector_bytes;
	unsigned char *data;
	int err;

	if (size > file->limit)
		return -EFBIG;
	if (size <= file->capacity)
		return 0;
	while (capacity < size)
		capacity *= 2;
	if (capacity > file->limit)
		capacity = file->limit;
	err = charge_take(fs, CHARGE_SCRATCH_BYTES, file->uid, capacity - file->capacity);
	if (err != 0)
		return err;
	data = realloc(file->data, capacity);
	if (data == NULL) {
		charge_give(fs, CHARGE_SCRATCH_BYTES, file->uid, capacity - file->capacity);
		return -ENOMEM;
	}
	memset(data + file->capacity, 0, capacity - file->capacity);
	file->data = data;
	file->capacity = (uint32_t)capacity;
	return 0;
}

void scratch_stat(const struct fs *fs, const struct scratch_file *file, struct stat *st)
{
	bool named = file->name != NULL;

	attr_file(fs, file->ino, &file->attr, file->size, named, st);
	if (!scratch_is_folder(file))
		return;
	st->st_mode = S_IFDIR | (st->st_mode & ~(mode_t)S_IFMT);
	st->st_nlink = named ? 2 : 0; /* its name and "." */
	st->st_blksize = ATTR_DIR_BLOCK_BYTES;
}

/* A number that nothing has: *next, of `count` from `base` on; there are far fewer files. */
static uint64_t next_ino(struct fs *fs, uint64_t base, uint64_t count, uint64_t *next)
{
	uint64_t ino;

	do {
		ino = base + *next;
		++*next;
		if (*next == count) {
			*next = 0;
			fs->scratch->generation++;
		}
	} while (scratch_find(fs, ino) != NULL);
	return ino;
}

/* The caller holds the lock. */
static void link_file(struct fs *fs, struct scratch_file *file)
{
	struct scratch *s = fs->scratch;

	file->serial = s->serial++;
	file->by_ino = *ino_bucket(s, file->ino);
	*ino_bucket(s, file->ino) = file;
	file->older = s->newest;
	if (s->newest != NULL)
		s->newest->newer = file;
	else
		s->oldest = file;
	s->newest = file;
	s->count++;
}

bool scratch_is_there(struct fs *fs, uint64_t parent)
{
	const struct scratch_file *folder = scratch_find(fs, parent);

	return parent == TREE_VECTORS || (folder != NULL && folder->name != NULL);
}

int scratch_add(struct fs *fs, uint64_t parent, const char *name, const struct quiver_attr *attr,
                bool folder, struct scratch_file **added)
{
	struct scratch *s = fs->scratch;
	struct scratch_file *file;
	char *copy;
	int err;

	if (strlen(name) > SCRATCH_NAME_MAX)
		return -ENAMETOOLONG;
	if (!scratch_is_there(fs, parent))
		return -ENOENT;
	err = charge_take(fs, CHARGE_SCRATCH_FILES, caller_uid, 1);
	if (err != 0)
		return err;
	file = calloc(1, sizeof(*file));
	copy = strdup(name);
	if (file == NULL || copy == NULL) {
		free(file);
		free(copy);
		charge_give(fs, CHARGE_SCRATCH_FILES, caller_uid, 1);
		return -ENOMEM;
	}
	file->uid = caller_uid;
	file->attr = *attr;
	file->generation = s->generation;
	if (folder)
		file->ino = next_ino(fs, TREE_FOLDER_BASE, TREE_FOLDER_COUNT, &s->next_folder);
	else
		file->ino = next_ino(fs, TREE_SCRATCH_BASE, TREE_SCRATCH_COUNT, &s->next);
	link_file(fs, file);
	scratch_set_name(fs, file, parent, copy);
	scratch_touch_dir(fs, parent);
	*added = file;
	return 0;
}
