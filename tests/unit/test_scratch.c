/* A scratch file that becomes a vector while it is closed; folders that are remembered. */
#include "unit.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/caller.h"
#include "fs/base/charge.h"
#include "fs/base/errors.h"
#include "fs/scratch/scratch.h"
#include "fs/scratch/scratch_become.h"
#include "fs/vector/change.h"
#include "fs/vector/node.h"
#include "fs/vector/vector_file.h"
#include "tests/common/limit.h"

#define N 100u
#define NAME ".scratch"
#define ID UINT64_C(7)
#define LIMIT_S 5u /* of the processor; by the wall's clock five minutes */

struct mounted {
	struct unit_dir dir;
	char path[UNIT_PATH_BYTES + 16];
	struct fs fs;
	uint64_t ino; /* of the scratch file, */
	bool closes; /* whose descriptor is closed while its heir is opened */
};

static int setup(void **state)
{
	const struct quiver_geometry geometry = { .dim = N, .dtype = QUIVER_U1 };
	const struct quiver_options options = { .size = sizeof(struct quiver_options) };
	struct mounted *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	unit_dir_make(&m->dir);
	snprintf(m->path, sizeof(m->path), "%s/store", m->dir.path);
	assert_int_equal(quiver_create(m->path, &geometry, NULL, NULL, NULL), 0);
	assert_int_equal(quiver_open(m->path, &options, &m->fs.store, NULL), 0);
	m->fs.geometry = *quiver_geometry(m->fs.store);
	assert_int_equal(errors_new(NULL, &m->fs.errors), 0);
	assert_int_equal(charges_new(&m->fs.charges), 0);
	assert_int_equal(nodes_new(m->fs.store, &m->fs.nodes), 0);
	assert_int_equal(scratch_new(&m->fs.scratch), 0);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct mounted *m = *state;

	scratch_free(&m->fs, m->fs.scratch);
	nodes_free(&m->fs, m->fs.nodes);
	assert_int_equal(atomic_load(&m->fs.charged), 0);
	charges_free(m->fs.charges);
	assert_int_equal(quiver_close(m->fs.store), 0);
	errors_free(m->fs.errors);
	unit_dir_remove(&m->dir);
	free(m);
	return 0;
}

static void close_descriptor(struct fs *fs, const struct mounted *m)
{
	struct scratch_heir heir;

	scratch_lock(fs);
	heir = scratch_closed(fs, scratch_find(fs, m->ino));
	scratch_unlock(fs);
	scratch_close_heir(fs, heir);
}

static struct scratch_heir open_heir(struct fs *fs, const void *arg)
{
	const struct mounted *m = arg;
	struct scratch_heir heir = { .ops = &vector_ops, .ino = ID };

	heir.err = vector_open_heir(fs, ID, &heir.fh);
	assert_int_equal(heir.err, 0);
	if (m->closes)
		close_descriptor(fs, m);
	return heir;
}

/* Make the scratch file with a descriptor on it, and a vector of it, as a rename does. */
static void become(struct mounted *m)
{
	const struct quiver_attr attr = { .mtime_ns = 1, .mode = 0644 };
	struct fuse_entry_param entry;
	struct scratch_bytes bytes;
	struct scratch_file *file;
	struct scratch_heir unused;
	struct change change;

	assert_int_equal(
		scratch_create(&m->fs, TREE_VECTORS, NAME, &attr, false, false, true, &entry), 0);
	m->ino = entry.ino;
	scratch_lock(&m->fs);
	file = scratch_find(&m->fs, m->ino);
	assert_int_equal(scratch_reserve(&m->fs, file, N), 0);
	file->size = N;
	scratch_unlock(&m->fs);

	assert_int_equal(
		scratch_begin(&m->fs, (struct scratch_place){ TREE_VECTORS, NAME }, N, &bytes), 0);
	assert_int_equal(change_begin(&m->fs, ID, ID, true, &change), 0);
	assert_int_equal(quiver_put(m->fs.store, ID, bytes.data, &attr, QUIVER_ATTR_ALL, 0, NULL),
	                 0);
	unused = scratch_become(&m->fs, m->ino, open_heir, m);
	change_end(&m->fs, &change);
	assert_true((unused.ops != NULL) == m->closes);
	scratch_close_heir(&m->fs, unused);
}

static void its_heir_is_closed_with_its_descriptor(void **state)
{
	struct mounted *m = *state;

	become(m);
	assert_true(node_is_written(&m->fs, ID));
	close_descriptor(&m->fs, m);
	assert_false(node_is_written(&m->fs, ID));
}

/* The heir waits, when it is closed, for the end of the change that the rename is amid. */
static void its_descriptor_may_be_closed_meanwhile(void **state)
{
	struct mounted *m = *state;

	m->closes = true;
	test_limit(LIMIT_S);
	become(m);
	test_limit(0);
	assert_false(node_is_written(&m->fs, ID));
}

static uint64_t charged(struct fs *fs)
{
	uint64_t whole, user_max;

	charge_sums(fs, CHARGE_SCRATCH_FILES, &whole, &user_max);
	return whole;
}

/* A folder that was removed stays until the kernel has forgotten each lookup. */
static void a_folder_is_there_until_it_is_forgotten(void **state)
{
	const struct quiver_attr attr = { .mtime_ns = 1, .mode = 0755 };
	struct fs *fs = &((struct mounted *)*state)->fs;
	struct fuse_entry_param made, entry;

	assert_int_equal(scratch_mkdir(fs, NAME, &attr, &made), 0);
	assert_int_equal(scratch_mkdir(fs, NAME, &attr, &entry), -EEXIST);
	assert_int_equal(scratch_entry(fs, TREE_VECTORS, NAME, &entry), 0);
	assert_true(entry.ino == made.ino && S_ISDIR(entry.attr.st_mode));
	assert_int_equal(scratch_create(fs, made.ino, "1", &attr, true, false, false, &entry), 0);
	assert_int_equal(scratch_rmdir(fs, NAME), -ENOTEMPTY);
	assert_int_equal(scratch_unlink(fs, made.ino, "1"), 0);
	assert_int_equal(scratch_rmdir(fs, NAME), 0);
	assert_int_equal(scratch_folders(fs), 0);
	assert_int_equal(charged(fs), 1);
	assert_int_equal(scratch_create(fs, made.ino, "1", &attr, true, false, false, &entry),
	                 -ENOENT);
	assert_int_equal(scratch_node_entry(fs, made.ino, 0, &entry), -ENOENT);
	scratch_forget(fs, made.ino, 1);
	assert_int_equal(charged(fs), 1);
	scratch_forget(fs, made.ino, 1);
	assert_int_equal(charged(fs), 0);
	/* One that has its name is there, whatever was forgotten. */
	assert_int_equal(scratch_mkdir(fs, NAME, &attr, &made), 0);
	scratch_forget(fs, made.ino, 1);
	assert_int_equal(scratch_entry(fs, TREE_VECTORS, NAME, &entry), 0);
	assert_true(entry.ino == made.ino);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(its_heir_is_closed_with_its_descriptor, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(its_descriptor_may_be_closed_meanwhile, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(a_folder_is_there_until_it_is_forgotten, setup,
		                                teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
