/* From the bytes of a writer to a commit, or to nothing; and who sees which version. */
#include "unit.h"

#include "fs/base/caller.h"
#include "fs/base/charge.h"
#include "fs/base/errors.h"
#include "fs/vector/change.h"
#include "fs/vector/node.h"
#include "fs/vector/proven.h"
#include "fs/vector/stage.h"

#define N 100u
#define OWNER 1000
#define USER 1001

struct staged {
	struct unit_dir dir;
	char path[UNIT_PATH_BYTES + 16];
	struct fs fs;
	unsigned char a[N], b[N];
};

static int setup(void **state)
{
	const struct quiver_geometry geometry = { .dim = N, .dtype = QUIVER_U1 };
	const struct quiver_options options = { .size = sizeof(struct quiver_options),
		                                .durability = QUIVER_FSYNC };
	struct staged *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	unit_dir_make(&s->dir);
	snprintf(s->path, sizeof(s->path), "%s/store", s->dir.path);
	assert_int_equal(quiver_create(s->path, &geometry, NULL, NULL, NULL), 0);
	assert_int_equal(quiver_open(s->path, &options, &s->fs.store, NULL), 0);
	s->fs.geometry = *quiver_geometry(s->fs.store);
	assert_int_equal(errors_new(NULL, &s->fs.errors), 0);
	assert_int_equal(charges_new(&s->fs.charges), 0);
	s->fs.owner_uid = OWNER;
	caller_uid = OWNER;
	assert_int_equal(nodes_new(s->fs.store, &s->fs.nodes), 0);
	memset(s->a, 'a', N);
	memset(s->b, 'b', N);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct staged *s = *state;

	nodes_free(&s->fs, s->fs.nodes);
	assert_int_equal(atomic_load(&s->fs.charged), 0);
	charges_free(s->fs.charges);
	assert_int_equal(quiver_close(s->fs.store), 0);
	errors_free(s->fs.errors);
	unit_dir_remove(&s->dir);
	free(s);
	return 0;
}

static struct handle *writer(struct staged *s, uint64_t id)
{
	const struct quiver_attr attr = { .mtime_ns = 1, .mode = 0644 };
	struct handle *h = NULL;

	assert_int_equal(node_open_writer(&s->fs, id, 1, 0, true, &attr, &h), 0);
	return h;
}

static int put(struct staged *s, struct handle *h, const void *data, size_t size, uint64_t offset)
{
	return stage_write(&s->fs, h, data, size, offset, false, false, true);
}

static int cut(struct staged *s, struct handle *h, uint64_t size)
{
	bool same;

	return stage_truncate(&s->fs, h, size, &same, true);
}

/* Whether the committed vector is all `byte`; false where there is none. */
static bool committed(struct staged *s, uint64_t id, unsigned char byte)
{
	unsigned char data[N], want[N];

	memset(want, byte, N);
	return quiver_get_copy(s->fs.store, id, data, NULL, NULL) == 0 &&
	       memcmp(data, want, N) == 0;
}

static void all_bytes_at_once_commit_at_once(void **state)
{
	struct staged *s = *state;
	struct handle *h = writer(s, 7);

	assert_int_equal(put(s, h, s->a, N, 0), 0);
	assert_true(committed(s, 7, 'a'));
	assert_null(h->stage.data);
	assert_int_equal(stage_commit(&s->fs, h, STAGE_FLUSH, true), 0);
	node_close(&s->fs, h);
}

static void pieces_commit_at_close_and_only_if_whole(void **state)
{
	struct staged *s = *state;
	struct handle *h = writer(s, 7);

	assert_int_equal(put(s, h, s->a, 60, 0), 0);
	assert_int_equal(stage_commit(&s->fs, h, STAGE_FLUSH, true), -EINVAL);
	assert_false(committed(s, 7, 'a'));
	assert_int_equal(put(s, h, s->a, 40, 60), 0);
	assert_false(committed(s, 7, 'a'));
	assert_int_equal(stage_commit(&s->fs, h, STAGE_FLUSH, true), 0);
	assert_true(committed(s, 7, 'a'));
	node_close(&s->fs, h);

	h = writer(s, 8);
	assert_int_equal(put(s, h, s->a, 99, 0), 0);
	assert_int_equal(stage_commit(&s->fs, h, STAGE_RELEASE, true), -EINVAL);
	node_close(&s->fs, h);
	assert_int_equal(quiver_stat(s->fs.store, 8, 0, NULL, NULL), -ENOENT);
}

static void an_empty_creation_never_appears(void **state)
{
	struct staged *s = *state;
	struct handle *h = writer(s, 7);

	assert_int_equal(stage_commit(&s->fs, h, STAGE_FLUSH, true), -EINVAL);
	assert_int_equal(stage_commit(&s->fs, h, STAGE_RELEASE, true), -EINVAL);
	node_close(&s->fs, h);
	assert_int_equal(quiver_stat(s->fs.store, 7, 0, NULL, NULL), -ENOENT);
}

static void bytes_past_the_end_are_refused_and_change_nothing(void **state)
{
	struct staged *s = *state;
	struct handle *h = writer(s, 7);

	assert_int_equal(put(s, h, s->a, N, 0), 0);
	assert_int_equal(put(s, h, s->b, N, 1), -EFBIG);
	assert_int_equal(put(s, h, s->b, 1, N), -EFBIG);
	assert_int_equal(put(s, h, s->b, 1, UINT64_MAX), -EFBIG);
	assert_int_equal(cut(s, h, N + 1), -EFBIG);
	assert_int_equal(stage_write(&s->fs, h, s->b, 1, 0, true, false, true), -EFBIG);
	assert_int_equal(stage_commit(&s->fs, h, STAGE_FLUSH, true), 0);
	assert_true(committed(s, 7, 'a'));
	node_close(&s->fs, h);
}

static void a_patch_is_made_on_the_committed_bytes(void **state)
{
	struct staged *s = *state;
	struct handle *h = writer(s, 7);
	unsigned char data[N];
	bool active = false;

	assert_int_equal(put(s, h, s->a, N, 0), 0);
	assert_int_equal(put(s, h, s->b, 10, 20), 0);
	assert_true(committed(s, 7, 'a'));
	assert_int_equal(stage_read(h, 15, 10, data, &active), 10);
	assert_true(active);
	assert_memory_equal(data, "aaaaabbbbb", 10);
	assert_int_equal(stage_commit(&s->fs, h, STAGE_FSYNC, true), 0);
	assert_int_equal(quiver_get_copy(s->fs.store, 7, data, NULL, NULL), 0);
	assert_memory_equal(data + 19, "abbbbbbbbbba", 12);
	node_close(&s->fs, h);
}

static void a_cut_stage_is_filled_with_zeros(void **state)
{
	struct staged *s = *state;
	struct handle *h = writer(s, 7);
	unsigned char data[N];

	assert_int_equal(put(s, h, s->a, 50, 0), 0);
	assert_int_equal(cut(s, h, 10), 0);
	assert_int_equal(cut(s, h, N), 0);
	assert_int_equal(stage_commit(&s->fs, h, STAGE_FLUSH, true), 0);
	assert_int_equal(quiver_get_copy(s->fs.store, 7, data, NULL, NULL), 0);
	assert_memory_equal(data, "aaaaaaaaaa\0\0\0\0", 14);
	assert_int_equal(data[N - 1], 0);
	node_close(&s->fs, h);
}

static void truncating_at_open_takes_what_that_thread_has_opened(void **state)
{
	struct staged *s = *state;
	struct handle *first = writer(s, 7), *second = writer(s, 7);

	assert_int_equal(put(s, first, s->a, N, 0), 0); /* touched from now on */
	assert_false(node_truncate_opened(&s->fs, 7, 99, false)); /* truncate(2) of another */
	assert_false(node_truncate_opened(&s->fs, 7, 0, false)); /* the same */
	assert_true(node_truncate_opened(&s->fs, 7, 1, false));
	assert_true(second->stage.active);
	assert_int_equal(second->stage.size, 0);
	assert_false(node_truncate_opened(&s->fs, 7, 1, false));
	assert_true(committed(s, 7, 'a'));
	node_close(&s->fs, second);
	second = writer(s, 7);
	node_opened(&s->fs, 7, 1); /* fstat */
	assert_false(node_truncate_opened(&s->fs, 7, 1, false));
	node_close(&s->fs, first);
	node_close(&s->fs, second);
	assert_false(node_truncate_opened(&s->fs, 7, 1, false));
}

static void truncating_at_open_out_of_sight_takes_what_was_opened_this_moment(void **state)
{
	struct staged *s = *state;
	struct handle *h;

	assert_int_equal(node_open_writer(&s->fs, 7, 0, 0, false, &(struct quiver_attr){ 0 }, &h),
	                 0);
	h->opened_ns -= INT64_C(2000000000);
	assert_false(node_truncate_opened(&s->fs, 7, 0, false));
	h->opened_ns += INT64_C(2000000000);
	assert_true(node_truncate_opened(&s->fs, 7, 0, true));
	assert_int_equal(h->stage.attr_mask, QUIVER_ATTR_DROP_SETID);
	node_close(&s->fs, h);
}

/* As the handlers do it. */
static void take_away(struct staged *s, uint64_t id)
{
	struct change change;

	assert_int_equal(change_begin(&s->fs, id, id, false, &change), 0);
	assert_int_equal(change_last(&s->fs, id, true, &change), 0);
	assert_int_equal(quiver_remove(s->fs.store, id, 0, &change.lsn), 0);
	change_removed(&s->fs, id, &change);
	change_end(&s->fs, &change);
}

static void rename_to(struct staged *s, uint64_t from, uint64_t to)
{
	struct change change;

	assert_int_equal(change_begin(&s->fs, from, to, false, &change), 0);
	assert_int_equal(change_last(&s->fs, to, true, &change), 0);
	assert_int_equal(quiver_rename(s->fs.store, from, to, 0, &change.lsn), 0);
	change_replaced(&s->fs, to, &change);
	change_renamed(&s->fs, from, to, &change);
	change_end(&s->fs, &change);
}

static void a_removed_vector_is_not_brought_back_by_its_writer(void **state)
{
	struct staged *s = *state;
	struct handle *h = writer(s, 7);

	assert_int_equal(put(s, h, s->a, N, 0), 0);
	take_away(s, 7);
	assert_int_equal(put(s, h, s->b, N, 0), 0);
	assert_int_equal(stage_commit(&s->fs, h, STAGE_FLUSH, true), 0);
	node_close(&s->fs, h);
	assert_int_equal(quiver_stat(s->fs.store, 7, 0, NULL, NULL), -ENOENT);
}

static void a_removed_vector_is_read_by_who_has_committed_it(void **state)
{
	struct staged *s = *state;
	struct handle *h = writer(s, 7);
	struct version *version;

	assert_int_equal(put(s, h, s->a, N, 0), 0); /* it has no version of its own now */
	assert_null(h->version);
	take_away(s, 7);
	assert_int_equal(handle_version(&s->fs, h, 0, &version), 0);
	version_drop(&s->fs, version);
	node_close(&s->fs, h);
}

static void a_writer_follows_a_rename_and_that_of_what_was_replaced_is_lost(void **state)
{
	struct staged *s = *state;
	struct handle *moved = writer(s, 7), *replaced = writer(s, 8);
	struct handle *since;

	assert_int_equal(put(s, moved, s->a, N, 0), 0);
	assert_int_equal(put(s, replaced, s->b, N, 0), 0);
	rename_to(s, 7, 8);
	since = writer(s, 8);
	assert_true(node_is_written(&s->fs, 8));
	assert_int_equal(put(s, replaced, s->b, N, 0), 0);
	assert_int_equal(stage_commit(&s->fs, replaced, STAGE_FLUSH, true), 0);
	node_close(&s->fs, replaced);
	node_close(&s->fs, since);
	assert_true(committed(s, 8, 'a'));
	assert_true(node_is_written(&s->fs, 8)); /* by `moved`, opened as 7 */
	assert_int_equal(put(s, moved, s->b, N, 0), 0);
	assert_true(committed(s, 8, 'b'));
	assert_int_equal(quiver_stat(s->fs.store, 7, 0, NULL, NULL), -ENOENT);
	rename_to(s, 8, 9);
	take_away(s, 9);
	assert_int_equal(put(s, moved, s->a, N, 0), 0);
	assert_int_equal(stage_commit(&s->fs, moved, STAGE_FLUSH, true), 0);
	assert_int_equal(quiver_count(s->fs.store), 0);
	node_close(&s->fs, moved);
}

static void no_commit_comes_amid_a_change_of_names(void **state)
{
	struct staged *s = *state;
	struct handle *h = writer(s, 7), *other = writer(s, 6);
	struct change change, second;

	assert_int_equal(put(s, h, s->a, N, 0), 0);
	assert_int_equal(change_begin(&s->fs, 7, 8, false, &change), 0);
	assert_int_equal(change_begin(&s->fs, 1, 2, false, &second), -EAGAIN); /* one at a time */
	assert_int_equal(stage_write(&s->fs, h, s->b, N, 0, false, false, false), -EAGAIN);
	assert_int_equal(put(s, other, s->a, N, 0), 0);
	assert_int_equal(change_last(&s->fs, 8, true, &change), 0);
	assert_null(change.last); /* nobody has it open */
	assert_int_equal(quiver_rename(s->fs.store, 7, 8, 0, &change.lsn), 0);
	change_replaced(&s->fs, 8, &change);
	change_renamed(&s->fs, 7, 8, &change);
	change_end(&s->fs, &change);
	assert_int_equal(stage_write(&s->fs, h, s->b, N, 0, false, false, false), 0);
	assert_true(committed(s, 8, 'b'));
	/* And no change comes amid a commit. */
	handle_lock(h);
	h->busy = true;
	handle_unlock(h);
	assert_int_equal(change_begin(&s->fs, 8, 8, false, &change), -EAGAIN);
	assert_int_equal(change_begin(&s->fs, 6, 6, false, &change), 0);
	change_end(&s->fs, &change);
	handle_lock(h);
	handle_leave(h);
	handle_unlock(h);
	node_close(&s->fs, h);
	node_close(&s->fs, other);
}

static void of_two_exclusive_creations_one_wins(void **state)
{
	struct staged *s = *state;
	struct handle *first = writer(s, 7), *second = writer(s, 7);

	first->exclusive = true;
	second->exclusive = true;
	assert_int_equal(put(s, first, s->a, N, 0), 0);
	assert_int_equal(put(s, second, s->b, N, 0), -EEXIST);
	assert_true(committed(s, 7, 'a'));
	node_close(&s->fs, first);
	node_close(&s->fs, second);
}

static void a_staged_time_is_that_of_the_commit(void **state)
{
	const struct quiver_attr attr = { .mtime_ns = 12345, .uid = 5 };
	const struct node_user user = { .tid = 1 };
	struct staged *s = *state;
	struct handle *h = writer(s, 7);
	struct quiver_attr got;

	assert_int_equal(put(s, h, s->a, 60, 0), 0);
	assert_int_equal(put(s, h, s->a, 40, 60), 0);
	assert_true(node_stage_attr(&s->fs, 7, 7, &user, false, &attr, QUIVER_ATTR_MTIME, true));
	/* Another attribute, later, does not undo it. */
	assert_true(node_stage_attr(&s->fs, 7, 7, &user, false, &attr, QUIVER_ATTR_UID, false));
	assert_int_equal(stage_commit(&s->fs, h, STAGE_FLUSH, true), 0);
	assert_int_equal(quiver_stat(s->fs.store, 7, 0, &got, NULL), 0);
	assert_true(got.mtime_ns == 12345);
	assert_int_equal(got.uid, 5);
	node_close(&s->fs, h);
}

static enum node_caching reader(struct staged *s, uint64_t id, struct handle **h)
{
	enum node_caching caching = NODE_BESIDE_CACHE;

	assert_int_equal(node_open_reader(&s->fs, id, 1, 0, h, &caching), 0);
	return caching;
}

/* A READ into the page cache through `h` gets a vector that is all `byte`. */
static void fill_cache(struct staged *s, struct handle *h, unsigned char byte)
{
	struct version *version = NULL;
	unsigned char want[N];

	memset(want, byte, N);
	assert_int_equal(node_cache_version(&s->fs, h, 0, &version), 0);
	assert_memory_equal(version->ref.data, want, N);
	version_drop(&s->fs, version);
}

static void cached_handles_hold_one_version(void **state)
{
	struct staged *s = *state;
	struct handle *w = writer(s, 7), *old = NULL, *same = NULL, *newer = NULL;
	struct version *version = NULL;

	assert_int_equal(put(s, w, s->a, N, 0), 0);
	assert_int_not_equal(reader(s, 7, &old), NODE_BESIDE_CACHE);
	assert_int_not_equal(reader(s, 7, &same), NODE_BESIDE_CACHE);
	assert_int_equal(put(s, w, s->b, N, 0), 0);
	assert_int_equal(reader(s, 7, &newer), NODE_BESIDE_CACHE);

	/* Each reads its own; what fills the page cache is the old one for all. */
	assert_int_equal(handle_version(&s->fs, newer, 0, &version), 0);
	assert_memory_equal(version->ref.data, s->b, N);
	version_drop(&s->fs, version);
	fill_cache(s, newer, 'a');

	/* `newer` fills the cache as well now, so the old version stays cached. */
	node_close(&s->fs, old);
	node_close(&s->fs, same);
	assert_int_equal(reader(s, 7, &old), NODE_BESIDE_CACHE);
	node_close(&s->fs, old);
	node_close(&s->fs, newer);
	assert_int_not_equal(reader(s, 7, &newer), NODE_BESIDE_CACHE);
	node_close(&s->fs, newer);
	node_close(&s->fs, w);
}

static void pages_are_kept_once_a_read_shows_that_older_ones_were_dropped(void **state)
{
	struct staged *s = *state;
	struct handle *w = writer(s, 7), *one = NULL, *two = NULL, *three = NULL;

	for (int i = 0; i < 3; i++) {
		unsigned char byte = i & 1 ? 'a' : 'b';

		assert_int_equal(put(s, w, i & 1 ? s->a : s->b, N, 0), 0);
		assert_int_equal(reader(s, 7, &one), NODE_DROPS_CACHE);
		/* The kernel may not have dropped them yet. */
		assert_int_equal(reader(s, 7, &two), NODE_DROPS_CACHE);
		node_close(&s->fs, two);
		fill_cache(s, one, byte);
		assert_int_equal(reader(s, 7, &two), NODE_KEEPS_CACHE);
		node_close(&s->fs, one);
		fill_cache(s, two, byte);
		assert_int_equal(reader(s, 7, &three), NODE_KEEPS_CACHE);
		node_close(&s->fs, two);
		node_close(&s->fs, three);
		assert_int_equal(reader(s, 7, &one), NODE_KEEPS_CACHE);
		node_close(&s->fs, one);
	}
	node_close(&s->fs, w);
}

static void a_handle_that_keeps_pages_proves_nothing(void **state)
{
	struct staged *s = *state;
	struct handle *w = writer(s, 7), *v = writer(s, 7 + PROVEN_MARKS), *h = NULL, *g = NULL;

	assert_int_equal(put(s, w, s->a, N, 0), 0);
	assert_int_equal(put(s, v, s->b, N, 0), 0);
	assert_int_equal(reader(s, 7, &h), NODE_DROPS_CACHE);
	fill_cache(s, h, 'a');
	node_close(&s->fs, h);
	assert_int_equal(reader(s, 7, &h), NODE_KEEPS_CACHE);
	/* It shares the entry. */
	assert_int_equal(reader(s, 7 + PROVEN_MARKS, &g), NODE_DROPS_CACHE);
	fill_cache(s, g, 'b');
	node_close(&s->fs, g);
	fill_cache(s, h, 'a');
	assert_int_equal(reader(s, 7, &g), NODE_DROPS_CACHE);
	node_close(&s->fs, g);
	node_close(&s->fs, h);
	assert_int_equal(reader(s, 7 + PROVEN_MARKS, &g), NODE_KEEPS_CACHE);
	node_close(&s->fs, g);
	node_close(&s->fs, v);
	node_close(&s->fs, w);
}

static void pages_of_an_older_version_are_not_kept_for_the_newer(void **state)
{
	struct staged *s = *state;
	struct handle *w = writer(s, 7), *oldest = NULL, *older = NULL, *h = NULL;

	assert_int_equal(put(s, w, s->a, N, 0), 0);
	assert_int_equal(reader(s, 7, &oldest), NODE_DROPS_CACHE);
	assert_int_equal(put(s, w, s->b, N, 0), 0);
	assert_int_equal(reader(s, 7, &older), NODE_BESIDE_CACHE);
	node_close(&s->fs, oldest);
	assert_int_equal(put(s, w, s->a, N, 0), 0);
	assert_int_equal(reader(s, 7, &h), NODE_DROPS_CACHE);
	fill_cache(s, h, 'a');
	node_close(&s->fs, h);
	/* A map or sendfile of the one that is still open. */
	fill_cache(s, older, 'b');
	node_close(&s->fs, older);
	assert_int_equal(reader(s, 7, &h), NODE_DROPS_CACHE);
	node_close(&s->fs, h);
	node_close(&s->fs, w);
}

static void too_many_stages_are_refused(void **state)
{
	struct staged *s = *state;
	struct handle *h = writer(s, 7);

	assert_int_equal(charge_take(&s->fs, CHARGE_STAGES, OWNER, STAGES_MAX), 0);
	assert_int_equal(put(s, h, s->a, 1, 0), -ENOSPC);
	assert_int_equal(put(s, h, s->a, N, 0), 0); /* needs no stage */
	charge_give(&s->fs, CHARGE_STAGES, OWNER, STAGES_MAX);
	assert_true(committed(s, 7, 'a'));
	node_close(&s->fs, h);
}

static char *errors_of(struct staged *s)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	assert_non_null(out);
	errors_show(s->fs.errors, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void a_user_has_a_share_of_the_stages(void **state)
{
	struct staged *s = *state;
	struct handle *h, *owners;
	char *text;

	h = writer(s, 7);
	assert_int_equal(put(s, h, s->a, N, 0), 0);
	node_close(&s->fs, h);
	caller_uid = USER;
	h = writer(s, 7);
	caller_uid = OWNER; /* who opened it pays, whoever writes */
	owners = writer(s, 7);
	assert_int_equal(charge_take(&s->fs, CHARGE_STAGES, USER, STAGES_MAX / 4), 0);
	assert_int_equal(put(s, h, s->b, 1, 0), -EDQUOT);
	text = errors_of(s);
	assert_non_null(strstr(text, "vector 7: user 1001 may have at most 4096 vectors written in "
	                             "part\n"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line tells it */
	free(text);
	assert_int_equal(put(s, owners, s->b, 1, 0), 0);
	charge_give(&s->fs, CHARGE_STAGES, USER, 1);
	assert_int_equal(put(s, h, s->b, 1, 0), 0);
	charge_give(&s->fs, CHARGE_STAGES, USER, STAGES_MAX / 4 - 1);
	node_close(&s->fs, owners);
	node_close(&s->fs, h);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(all_bytes_at_once_commit_at_once),
		CASE(pieces_commit_at_close_and_only_if_whole),
		CASE(an_empty_creation_never_appears),
		CASE(bytes_past_the_end_are_refused_and_change_nothing),
		CASE(a_patch_is_made_on_the_committed_bytes),
		CASE(a_cut_stage_is_filled_with_zeros),
		CASE(truncating_at_open_takes_what_that_thread_has_opened),
		CASE(truncating_at_open_out_of_sight_takes_what_was_opened_this_moment),
		CASE(a_removed_vector_is_not_brought_back_by_its_writer),
		CASE(a_removed_vector_is_read_by_who_has_committed_it),
		CASE(a_writer_follows_a_rename_and_that_of_what_was_replaced_is_lost),
		CASE(no_commit_comes_amid_a_change_of_names),
		CASE(of_two_exclusive_creations_one_wins),
		CASE(a_staged_time_is_that_of_the_commit),
		CASE(cached_handles_hold_one_version),
		CASE(pages_are_kept_once_a_read_shows_that_older_ones_were_dropped),
		CASE(a_handle_that_keeps_pages_proves_nothing),
		CASE(pages_of_an_older_version_are_not_kept_for_the_newer),
		CASE(too_many_stages_are_refused),
		CASE(a_user_has_a_share_of_the_stages),
	};

	return cmocka_run_group_tests_name("stage", tests, NULL, NULL);
}
