#include "engine/disk/column_kinds.h"

#include <assert.h>

#include "engine/media/meta_row.h"
#include "engine/media/npy_header.h"

static_assert(COLUMN_HEADER_BYTES == NPY_HEADER_BYTES, "one header");

static struct column_kind vectors_kind(const struct quiver_geometry *geometry)
{
	static const char *const descrs[] = {
		[QUIVER_F4] = "'<f4'",
		[QUIVER_F2] = "'<f2'",
		[QUIVER_F8] = "'<f8'",
		[QUIVER_I1] = "'|i1'",
		[QUIVER_U1] = "'|u1'",
		/* NumPy has neither: their bits are shown. */
		[QUIVER_BF2] = "'<u2'",
		[QUIVER_B1] = "'|u1'",
	};
	uint32_t row_bytes = quiver_vector_bytes(geometry->dim, geometry->dtype);

	assert((size_t)geometry->dtype < sizeof(descrs) / sizeof(descrs[0]));
	return (struct column_kind){ "vectors.npy", descrs[geometry->dtype],
		                     geometry->dtype == QUIVER_B1 ? row_bytes : geometry->dim,
		                     row_bytes };
}

void column_kinds(const struct quiver_geometry *geometry, uint32_t version,
                  struct column_kind kinds[COLUMNS])
{
	static const struct column_kind ids = { "ids.npy", "'<u8'", 0, sizeof(uint64_t) };
	static const struct column_kind meta = {
		"meta.npy",
		"[('lsn', '<u8'), ('sum', '<u8'), ('mtime_ns', '<i8'), ('ctime_ns', '<i8'), "
		"('attr_lsn', '<u8'), ('uid', '<u4'), ('gid', '<u4'), ('mode', '<u2'), "
		"('flags', '<u2'), ('crc', '<u4')]",
		0, META_ROW_BYTES
	};
	static const struct column_kind meta_1 = {
		"meta.npy",
		"[('lsn', '<u8'), ('sum', '<u8'), ('mtime_ns', '<i8'), "
		"('uid', '<u4'), ('gid', '<u4'), ('mode', '<u2'), "
		"('flags', '<u2'), ('crc', '<u4')]",
		0, META_ROW_1_BYTES
	};

	kinds[0] = vectors_kind(geometry);
	kinds[1] = ids;
	kinds[2] = version == 1 ? meta_1 : meta;
}
