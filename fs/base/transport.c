/* transport.c - how requests get from the kernel to us. */
#include "fs/base/transport.h"

#include <unistd.h>

/* So that a batch of small vectors is worth its request: an import of 300 MB took 0.42 s with
 * half as much, 0.36 s with this and with twice as much. */
#define PUT_BYTES_MIN (512u << 10)
/* Before one vector in control/put: put_records.h. */
#define RECORD_HEADER_BYTES 48u

/* What the kernel counts a request in: on arm64 that may be 16 or 64 KiB. */
static uint32_t page_bytes(void)
{
	return (uint32_t)sysconf(_SC_PAGESIZE);
}

uint32_t transport_put_bytes(uint32_t vector_bytes)
{
	uint32_t page = page_bytes();
	uint32_t bytes = (vector_bytes + RECORD_HEADER_BYTES + page - 1) / page * page;

	return bytes > PUT_BYTES_MIN ? bytes : PUT_BYTES_MIN;
}

uint32_t transport_request_bytes(uint32_t vector_bytes)
{
	return transport_put_bytes(vector_bytes) + page_bytes();
}

const char *transport_name(const struct fs *fs)
{
	return fs->transport == FS_IO_URING ? "io_uring" : "dev_fuse";
}

const char *transport_reason(const struct fs *fs)
{
	if (fs->transport == FS_IO_URING)
		return "the kernel allows it";
	if (fs->transport_reason[0])
		return fs->transport_reason;
	return "the kernel offers io_uring, but it could not be set up (see the log)";
}
