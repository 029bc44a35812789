/* The sizes of requests, whatever the pages of this machine are. */
#include "unit.h"

#include <unistd.h>

#include "fs/base/transport.h"

/* The kernel gives a request as many pages as its largest size takes, so a buffer that begins at
 * the end of one gets all but a page of that. */
static void a_batch_fits_a_request_wherever_its_buffer_begins(void **state)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);

	(void)state;
	for (uint32_t bytes = 1; bytes <= QUIVER_VECTOR_BYTES_MAX; bytes += bytes / 64 + 1) {
		uint32_t put = transport_put_bytes(bytes);
		uint32_t request = transport_request_bytes(bytes);

		assert_true(put >= bytes + 48);
		assert_int_equal(put % page, 0);
		assert_int_equal(request % page, 0);
		assert_true(request >= put + page);
	}
	assert_true(transport_put_bytes(QUIVER_VECTOR_BYTES_MAX) >= QUIVER_VECTOR_BYTES_MAX + 48);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_fits_a_request_wherever_its_buffer_begins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
