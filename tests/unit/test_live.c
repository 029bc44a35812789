/* What an error of a file of a mount says of its daemon. */
#include "unit.h"

#include <sys/stat.h>

#include "tools/cli/live.h"

#define ANY_FD 0

static const int *answers; /* what the mount says to statx(2) next, ended by -1 */

/* Instead of the kernel's, whose parameters have reserved names.
 * NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int statx(int fd, const char *path, int flags, unsigned mask, struct statx *status)
{
	assert_int_equal(fd, ANY_FD);
	assert_string_equal(path, "");
	assert_int_equal(flags, AT_EMPTY_PATH | AT_STATX_FORCE_SYNC);
	assert_int_equal(mask, STATX_BASIC_STATS);
	memset(status, 0, sizeof(*status));
	assert_int_not_equal(*answers, -1);
	errno = *answers++;
	return errno == 0 ? 0 : -1;
}

static void whether_an_error_is_an_answer_tells_the_next_request(void **state)
{
	static const int errors[] = { EIO, EFAULT, EAGAIN };

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		answers = (const int[]){ 0, -1 };
		assert_int_equal(live_error(ANY_FD, errors[i]), -errors[i]);
		answers = (const int[]){ EIO, EFAULT, EAGAIN, EINTR, ENOTCONN, -1 };
		assert_int_equal(live_error(ANY_FD, errors[i]), -ENOTCONN);
		answers = (const int[]){ EFAULT, EACCES, -1 };
		assert_int_equal(live_error(ANY_FD, errors[i]), -errors[i]);
	}
}

static void other_errors_are_answers_or_say_that_it_is_gone(void **state)
{
	static const int gone[] = { ENOTCONN, ECONNABORTED, ECANCELED };

	(void)state;
	answers = (const int[]){ -1 };
	assert_int_equal(live_error(ANY_FD, ENOSPC), -ENOSPC);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		assert_int_equal(live_error(ANY_FD, gone[i]), -ENOTCONN);
}

static void what_a_dying_daemon_leaves_is_asked_again_so_often(void **state)
{
	unsigned asked = 0;

	(void)state;
	for (unsigned i = 1; i < LIVE_QUESTIONS_MAX; i++)
		assert_true(live_asks_again(i % 2 ? -EIO : -EFAULT, &asked));
	assert_false(live_asks_again(-EFAULT, &asked));
	assert_true(live_asks_again(-EINTR, &asked));
	asked = 0;
	assert_false(live_asks_again(0, &asked));
	assert_false(live_asks_again(-ENOENT, &asked));
	assert_false(live_asks_again(-ENOTCONN, &asked));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whether_an_error_is_an_answer_tells_the_next_request),
		cmocka_unit_test(other_errors_are_answers_or_say_that_it_is_gone),
		cmocka_unit_test(what_a_dying_daemon_leaves_is_asked_again_so_often),
	};

	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
