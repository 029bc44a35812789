/* A store's label and metric: what is taken, what a failed write or a kill leaves, and who hears of it. */
#include "store_test.h"

#include "engine/base/description.h"
#include "engine/store/kind.h"

static bool valid(const char *text, size_t length)
{
	bool is = description_label_is_valid(text, length);
	char *copy = malloc(length + 1);

	/* A block of just that size: what is read behind it is seen by sanitizers. */
	assert_non_null(copy);
	memcpy(copy, text, length);
	assert_int_equal(description_label_is_valid(copy, length), is);
	free(copy);
	return is;
}

#define VALID(text) assert_true(valid(text, sizeof(text) - 1))
#define INVALID(text) assert_false(valid(text, sizeof(text) - 1))

static void labels_are_utf8(void **state)
{
	(void)state;
	VALID("");
	VALID(" ");
	VALID("~");
	VALID("bge-m3, normalized");
	VALID("\xc3\xbc\xc3\x9f \xe6\x96\x87 \xf0\x9f\x98\x80");
	/* The ends of each length. */
	VALID("\xc2\xa0\xdf\xbf");
	VALID("\xe0\xa0\x80\xef\xbf\xbf");
	VALID("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
	VALID("\xed\x9f\xbf\xee\x80\x80"); /* around the surrogates */
	/* Overlong. */
	INVALID("\xc0\x80");
	INVALID("\xc0\xaf");
	INVALID("\xc1\xbf");
	INVALID("\xe0\x80\x80");
	INVALID("\xe0\x9f\xbf");
	INVALID("\xf0\x80\x80\x80");
	INVALID("\xf0\x8f\xbf\xbf");
	/* Surrogates, also as a pair (CESU-8). */
	INVALID("\xed\xa0\x80");
	INVALID("\xed\xbf\xbf");
	INVALID("\xed\xa0\xbd\xed\xb8\x80");
	/* Above U+10FFFF, and lengths that there are no more. */
	INVALID("\xf4\x90\x80\x80");
	INVALID("\xf5\x80\x80\x80");
	INVALID("\xf7\xbf\xbf\xbf");
	INVALID("\xf8\x88\x80\x80\x80");
	INVALID("\xfc\x84\x80\x80\x80\x80");
	INVALID("\xfe");
	INVALID("\xff");
	/* Cut off, and bytes that are none of it. */
	INVALID("\x80");
	INVALID("\xbf");
	INVALID("a\xc3");
	INVALID("\xe6\x96");
	INVALID("\xf0\x9f\x98");
	INVALID("\xc3\x28");
	INVALID("\xe6\x96 ");
	INVALID("\xf0\x9f\x98 ");
	INVALID("gr\xfc\xdf"); /* Latin-1 */
}

static void labels_have_no_control_characters(void **state)
{
	char text[2] = { 0 };

	(void)state;
	for (int c = 0; c < 0x80; c++) {
		text[0] = (char)c;
		assert_int_equal(valid(text, 1), c >= 0x20 && c != 0x7f);
	}
	text[0] = (char)0xc2;
	for (int c = 0x80; c < 0xc0; c++) {
		text[1] = (char)c;
		assert_int_equal(valid(text, 2), c >= 0xa0);
	}
	INVALID("two\nlines");
	INVALID("a\0b");
	INVALID("\x1b[2J");
}

static void metrics_have_words(void **state)
{
	static const char *const words[] = { "l2", "cosine", "ip", "hamming" };
	enum quiver_metric metric = QUIVER_IP;

	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_string_equal(quiver_metric_name((enum quiver_metric)i), words[i]);
		assert_int_equal(quiver_metric_parse(words[i], &metric), 0);
		assert_int_equal(metric, i);
	}
	assert_string_equal(quiver_metric_name((enum quiver_metric)4), "?");
	metric = QUIVER_IP;
	assert_int_equal(quiver_metric_parse("", &metric), -EINVAL);
	assert_int_equal(quiver_metric_parse("L2", &metric), -EINVAL);
	assert_int_equal(quiver_metric_parse("l2 ", &metric), -EINVAL);
	assert_int_equal(metric, QUIVER_IP);
}

static int set_label(struct quiver *store, const char *text)
{
	return quiver_set_label(store, text, strlen(text));
}

static void check_is(struct quiver *store, enum quiver_metric metric, const char *label)
{
	struct quiver_description found;

	memset(&found, 0xff, sizeof(found));
	quiver_describe(store, &found);
	assert_int_equal(found.metric, metric);
	assert_string_equal(found.label, label);
}

static void a_new_store_has_what_it_was_made_with(void **state)
{
	struct store_dir *s = *state;
	struct quiver_geometry geometry = { .dim = 8, .dtype = QUIVER_F4 };
	struct quiver_description description = { .metric = QUIVER_COSINE, .label = "bge-m3" };
	struct quiver_error error = { "" };
	struct store_dir other = *s;
	struct quiver *store = open_with(s, NULL);

	check_is(store, QUIVER_L2, "");
	close_store(store);
	snprintf(other.path, sizeof(other.path), "%s/other", s->dir.path);
	assert_int_equal(quiver_create(other.path, &geometry, &description, NULL, &error), 0);
	store = open_with(&other, NULL);
	check_is(store, QUIVER_COSINE, "bge-m3");
	close_store(store);
}

static void a_store_is_not_made_with_what_is_refused(void **state)
{
	struct store_dir *s = *state;
	struct quiver_geometry geometry = { .dim = 8, .dtype = QUIVER_F4 };
	struct quiver_description description = { .metric = QUIVER_HAMMING };
	struct quiver_error error = { "" };
	char path[sizeof(s->path)];

	snprintf(path, sizeof(path), "%s/other", s->dir.path);
	assert_int_equal(quiver_create(path, &geometry, &description, NULL, &error), -EINVAL);
	assert_non_null(strstr(error.text, "hamming"));
	description.metric = (enum quiver_metric)4;
	assert_int_equal(quiver_create(path, &geometry, &description, NULL, &error), -EINVAL);
	description.metric = QUIVER_L2;
	strcpy(description.label, "two\nlines");
	assert_int_equal(quiver_create(path, &geometry, &description, NULL, &error), -EINVAL);
	assert_non_null(strstr(error.text, "label"));
	memset(description.label, 'x', sizeof(description.label)); /* without a NUL */
	assert_int_equal(quiver_create(path, &geometry, &description, NULL, &error), -EINVAL);
	assert_int_equal(access(path, F_OK), -1);
}

static void what_is_set_stays(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	char longest[QUIVER_LABEL_BYTES_MAX + 2];

	memset(longest, 'x', sizeof(longest));
	longest[QUIVER_LABEL_BYTES_MAX + 1] = '\0';
	assert_int_equal(set_label(store, "first"), 0);
	check_is(store, QUIVER_L2, "first");
	assert_int_equal(quiver_set_metric(store, QUIVER_HAMMING), 0); /* it is of u1 */
	check_is(store, QUIVER_HAMMING, "first");
	assert_int_equal(quiver_set_label(store, longest, QUIVER_LABEL_BYTES_MAX), 0);
	assert_int_equal(set_label(store, longest), -EINVAL);
	assert_int_equal(set_label(store, "a\x7f"), -EINVAL);
	assert_int_equal(quiver_set_metric(store, (enum quiver_metric)4), -EINVAL);
	longest[QUIVER_LABEL_BYTES_MAX] = '\0';
	check_is(store, QUIVER_HAMMING, longest);
	close_store(store);
	store = open_with(s, NULL);
	check_is(store, QUIVER_HAMMING, longest);
	/* A shorter one leaves nothing of it. */
	assert_int_equal(set_label(store, "short"), 0);
	assert_int_equal(put_version(store, 1, 1, 0), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	check_is(store, QUIVER_HAMMING, "short");
	close_store(store);
	store = open_with(s, NULL);
	check_is(store, QUIVER_HAMMING, "short");
	assert_int_equal(quiver_set_label(store, NULL, 0), 0);
	check_is(store, QUIVER_HAMMING, "");
	close_store(store);
	store = open_with(s, NULL);
	check_is(store, QUIVER_HAMMING, "");
	close_store(store);
}

static void hamming_is_of_bits_and_bytes(void **state)
{
	static const struct {
		enum quiver_dtype dtype;
		int result;
	} all[] = { { QUIVER_F4, -EINVAL },
		    { QUIVER_I1, -EINVAL },
		    { QUIVER_BF2, -EINVAL },
		    { QUIVER_U1, 0 },
		    { QUIVER_B1, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		assert_int_equal(description_fits_metric(all[i].dtype, QUIVER_HAMMING),
		                 all[i].result == 0);
}

static void a_read_only_store_keeps_its_own(void **state)
{
	struct store_dir *s = *state;
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = true };
	struct quiver *store = open_with(s, NULL);

	assert_int_equal(set_label(store, "mine"), 0);
	close_store(store);
	store = open_with(s, &options);
	assert_int_equal(set_label(store, "yours"), -EROFS);
	assert_int_equal(set_label(store, "mine"), -EROFS);
	assert_int_equal(quiver_set_metric(store, QUIVER_IP), -EROFS);
	assert_int_equal(set_label(store, "\n"), -EINVAL);
	check_is(store, QUIVER_L2, "mine");
	close_store(store);
}

/* Call number `call` of that kind on the superblock fails; in memory is what the disk has then, and
 * the next life finds it. */
static void fail_at(struct store_dir *s, int kind, long call, const char *expected)
{
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_FSYNC, &io);

	assert_int_equal(set_label(store, "old"), 0);
	assert_int_equal(put_version(store, 1, 7, 0), 0);
	trouble_arm(&io, call, TROUBLE_ONCE, kind, 's', -EIO);
	assert_int_equal(set_label(store, "new"), -EIO);
	trouble_disarm(&io);
	check_is(store, QUIVER_L2, expected);
	assert_true(store_said(store, "writing the superblock failed"));
	assert_int_equal(set_label(store, "newer"), -EROFS);
	assert_int_equal(quiver_set_metric(store, QUIVER_IP), -EROFS);
	assert_int_equal(put_version(store, 1, 8, 0), -EROFS);
	assert_int_equal(quiver_checkpoint(store), -EROFS);
	check_is(store, QUIVER_L2, expected);
	(void)quiver_close(store); /* it has failed */
	store = open_with(s, NULL);
	check_is(store, QUIVER_L2, expected);
	assert_int_equal(version_of(store, 1), 7);
	close_store(store);
}

static void a_failed_write_stops_the_store(void **state)
{
	struct store_dir *s = *state;

	fail_at(s, TROUBLE_WRITE, 1, "old");
	fail_at(s, TROUBLE_WRITE, 2, "new");
	fail_at(s, TROUBLE_SYNC, 2, "new");
}

/* What a sync that failed leaves may be on the disk or not: memory says what surely is. */
static void a_failed_first_sync_stops_the_store(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_FSYNC, &io);
	struct quiver_description found;

	assert_int_equal(set_label(store, "old"), 0);
	trouble_arm(&io, 1, TROUBLE_ONCE, TROUBLE_SYNC, 's', -ENOSPC);
	assert_int_equal(set_label(store, "new"), -EIO);
	trouble_disarm(&io);
	check_is(store, QUIVER_L2, "old");
	assert_int_equal(set_label(store, "newer"), -EROFS);
	(void)quiver_close(store); /* it has failed */
	store = open_with(s, NULL);
	quiver_describe(store, &found);
	assert_true(strcmp(found.label, "old") == 0 || strcmp(found.label, "new") == 0);
	close_store(store);
}

/* ---- a process that dies ---- */

struct death {
	struct store_dir *s;
	enum trouble_how how;
	long at;
};

static int die(void *arg)
{
	struct death *death = arg;
	struct trouble_io io;
	struct quiver *store = open_troubled(death->s, QUIVER_FSYNC, &io);

	if (set_label(store, "old") != 0)
		return 1;
	trouble_arm(&io, death->at, death->how, TROUBLE_ANY, 's', -EIO);
	if (set_label(store, "new, and longer than the old one was") != 0)
		return 2;
	_exit(0);
}

static void a_kill_leaves_one_of_the_two(void **state)
{
	struct store_dir *s = *state;
	struct quiver_check_result result;
	struct quiver_description found;
	unsigned olds = 0;
	unsigned news = 0;

	for (int half = 0; half < 2; half++) {
		for (long at = 1; at <= 5; at++) {
			struct death death = { s, half ? TROUBLE_HALF_EXIT : TROUBLE_EXIT, at };
			struct quiver *store;

			die_in_child(die, &death);
			assert_int_equal(quiver_check(s->path, false, NULL, NULL, &result, NULL),
			                 0);
			assert_int_equal(result.damage, 0);
			store = open_with(s, NULL);
			quiver_describe(store, &found);
			if (strcmp(found.label, "old") == 0)
				olds++;
			else if (strcmp(found.label, "new, and longer than the old one was") == 0)
				news++;
			else
				fail_msg("label \"%s\" at call %ld", found.label, at);
			close_store(store);
		}
	}
	assert_true(olds >= 2 && news >= 2);
}

/* ---- together with others ---- */

struct busy {
	struct quiver *store;
	_Atomic bool stop;
};

static void *change_and_checkpoint(void *arg)
{
	struct busy *busy = arg;

	for (uint64_t i = 1; !atomic_load(&busy->stop); i++)
		if (put_version(busy->store, i % 50, i, 0) != 0 ||
		    quiver_checkpoint(busy->store) != 0)
			return busy;
	return NULL;
}

/* Labels of one letter, of any length: one that is mixed is seen. */
static void *look(void *arg)
{
	struct busy *busy = arg;
	struct quiver_description found;

	while (!atomic_load(&busy->stop)) {
		quiver_describe(busy->store, &found);
		for (size_t i = 1; i < strlen(found.label); i++)
			if (found.label[i] != found.label[0])
				return busy;
	}
	return NULL;
}

static void labels_are_set_beside_checkpoints(void **state)
{
	struct store_dir *s = *state;
	struct busy busy = { .store = open_with(s, NULL) };
	char text[QUIVER_LABEL_BYTES_MAX];
	pthread_t threads[2];
	void *result;

	assert_int_equal(pthread_create(&threads[0], NULL, change_and_checkpoint, &busy), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, look, &busy), 0);
	for (size_t i = 0; i < 40; i++) {
		memset(text, 'a' + (int)(i % 26), sizeof(text));
		assert_int_equal(quiver_set_label(busy.store, text, sizeof(text) - i * 20), 0);
		assert_int_equal(quiver_set_metric(busy.store, (enum quiver_metric)(i % 4)), 0);
	}
	atomic_store(&busy.stop, true);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_null(result);
	}
	close_store(busy.store);
	busy.store = open_with(s, NULL);
	text[sizeof(text) - 39 * 20] = '\0';
	check_is(busy.store, QUIVER_HAMMING, text);
	close_store(busy.store);
}

/* ---- a kind of store that keeps none ---- */

static void a_kind_without_them_says_so(void **state)
{
	static const struct quiver_kind kind = { .name = "bare" };
	static const struct quiver_geometry geometry = { .dim = 8, .dtype = QUIVER_F4 };
	struct quiver_head head = { .kind = &kind, .geometry = &geometry };
	struct quiver *store = (struct quiver *)&head;

	(void)state;
	assert_int_equal(set_label(store, "a"), -EOPNOTSUPP);
	assert_int_equal(set_label(store, "\x01"), -EINVAL);
	assert_int_equal(quiver_set_metric(store, QUIVER_IP), -EOPNOTSUPP);
	assert_int_equal(quiver_set_metric(store, QUIVER_HAMMING), -EINVAL);
	check_is(store, QUIVER_L2, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_are_utf8),
		cmocka_unit_test(labels_have_no_control_characters),
		cmocka_unit_test(metrics_have_words),
		cmocka_unit_test(hamming_is_of_bits_and_bytes),
		cmocka_unit_test_setup_teardown(a_new_store_has_what_it_was_made_with, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(a_store_is_not_made_with_what_is_refused,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(what_is_set_stays, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_read_only_store_keeps_its_own, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(a_failed_write_stops_the_store, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(a_failed_first_sync_stops_the_store, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(a_kill_leaves_one_of_the_two, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(labels_are_set_beside_checkpoints, setup_store,
		                                teardown_store),
		cmocka_unit_test(a_kind_without_them_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
