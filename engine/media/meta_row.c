#include "engine/media/meta_row.h"

#include <xxhash.h>

#include "engine/media/bytes.h"

uint64_t vector_sum(uint64_t id, uint64_t lsn, uint64_t bytes_hash)
{
	uint8_t bytes[24];

	put_le64(bytes, id);
	put_le64(bytes + 8, lsn);
	put_le64(bytes + 16, bytes_hash);
	return XXH3_64bits(bytes, sizeof(bytes));
}
