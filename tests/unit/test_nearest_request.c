/* What is written to control/nearest. */
#include "unit.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/media/bytes.h"
#include "fs/control/nearest_request.h"

#define N 12u /* bytes of a vector */
#define MOST 1024u

/* One, of so many questions and IDs. Its vectors are bytes of 'v', the IDs count up from 100. */
static size_t make(uint8_t *bytes, uint64_t count, uint64_t ids, uint64_t excepts)
{
	size_t size = NEAREST_HEAD_BYTES + (ids + excepts) * 8 + count * N;

	assert_true(size <= MOST);
	memset(bytes, 0, size);
	memcpy(bytes, NEAREST_MARK, 8);
	put_le32(bytes + 8, NEAREST_VERSION);
	put_le32(bytes + 12, 10);
	put_le32(bytes + 16, (uint32_t)QUIVER_METRIC_OF_STORE);
	put_le64(bytes + 32, count);
	put_le64(bytes + 40, ids);
	put_le64(bytes + 48, excepts);
	for (uint64_t i = 0; i < ids + excepts; i++)
		put_le64(bytes + NEAREST_HEAD_BYTES + i * 8, 100 + i);
	memset(bytes + size - count * N, 'v', count * N);
	return size;
}

static int take(const uint8_t *bytes, size_t size, struct quiver_question *question)
{
	struct quiver_error error = { "" };
	/* Of just that size, so that a sanitizer sees what is read behind it. */
	char *copy = test_malloc(size > 0 ? size : 1);
	int err;

	memcpy(copy, bytes, size);
	err = nearest_request(copy, size, N, question, &error);
	assert_true(err == 0 || (err == -EINVAL && error.text[0] != '\0'));
	test_free(copy);
	return err;
}

static void a_question_is_taken_apart(void **state)
{
	_Alignas(8) uint8_t bytes[MOST];
	struct quiver_question question;
	struct quiver_error error;
	double within = -0.25;
	uint64_t bits;
	size_t size = make(bytes, 3, 5, 3);

	(void)state;
	put_le32(bytes + 16, QUIVER_HAMMING);
	put_le32(bytes + 20, QUIVER_NEAREST_EXACT | QUIVER_NEAREST_WITHIN);
	memcpy(&bits, &within, sizeof(bits));
	put_le64(bytes + 24, bits);
	assert_int_equal(nearest_request((char *)bytes, size, N, &question, &error), 0);
	assert_int_equal(question.size, sizeof(question));
	assert_int_equal(question.k, 10);
	assert_int_equal(question.metric, QUIVER_HAMMING);
	assert_int_equal(question.flags, QUIVER_NEAREST_EXACT | QUIVER_NEAREST_WITHIN);
	assert_true(question.within >= within && question.within <= within);
	assert_int_equal(question.count, 3);
	assert_int_equal(question.id_count, 5);
	assert_int_equal(question.ids[4], 104);
	assert_int_equal(question.except[0], 105);
	assert_int_equal(question.except[2], 107);
	assert_ptr_equal(question.vectors, bytes + size - 3 * (size_t)N);
}

static void what_is_left_out_is_null(void **state)
{
	_Alignas(8) uint8_t bytes[MOST];
	struct quiver_question question;

	(void)state;
	assert_int_equal(take(bytes, make(bytes, 1, 0, 0), &question), 0);
	assert_int_equal(question.metric, QUIVER_METRIC_OF_STORE);
	assert_null(question.ids);
	assert_null(question.except);
}

static void pieces_and_more_are_refused(void **state)
{
	_Alignas(8) uint8_t bytes[MOST + 1] = { 0 };
	struct quiver_question question;
	size_t size = make(bytes, 2, 3, 2);

	(void)state;
	for (size_t less = 0; less < size; less++)
		assert_int_equal(take(bytes, less, &question), -EINVAL);
	assert_int_equal(take(bytes, size, &question), 0);
	assert_int_equal(take(bytes, size + 1, &question), -EINVAL);
}

/* Whatever counts say, also that of which a product or a sum has no room in 64 bits. */
static void counts_that_are_not_true_are_refused(void **state)
{
	static const uint64_t counts[] = { 0,
		                           1,
		                           3,
		                           UINT64_MAX,
		                           UINT64_MAX / N + 1,
		                           UINT64_C(1) << 61,
		                           (UINT64_C(1) << 61) + 3,
		                           UINT64_C(1) << 32 };
	static const size_t places[] = { 32, 40, 48 };
	_Alignas(8) uint8_t bytes[MOST];
	struct quiver_question question;

	(void)state;
	for (size_t place = 0; place < 3; place++) {
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			size_t size = make(bytes, 2, 0, 2);

			/* that is what it says */
			if (get_le64(bytes + places[place]) == counts[i])
				continue;
			put_le64(bytes + places[place], counts[i]);
			assert_int_equal(take(bytes, size, &question), -EINVAL);
		}
	}
}

static void heads_of_others_are_refused(void **state)
{
	static const size_t places[] = { 0, 7, 8, 20, 23, 56, 63 };
	_Alignas(8) uint8_t bytes[MOST];
	struct quiver_question question;

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		size_t size = make(bytes, 1, 1, 1);

		bytes[places[i]] ^= 0x40;
		assert_int_equal(take(bytes, size, &question), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_is_taken_apart),
		cmocka_unit_test(what_is_left_out_is_null),
		cmocka_unit_test(pieces_and_more_are_refused),
		cmocka_unit_test(counts_that_are_not_true_are_refused),
		cmocka_unit_test(heads_of_others_are_refused),
	};

	return cmocka_run_group_tests_name("nearest_request", tests, NULL, NULL);
}
