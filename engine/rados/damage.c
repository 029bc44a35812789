#include "engine/rados/damage.h"

#include <errno.h>
#include <inttypes.h>

#include "engine/rados/failure.h"

int damage_report(struct collection *collection, uint64_t id)
{
	char object[OBJECT_NAME_BYTES];

	atomic_fetch_add(&collection->counters.checksum_errors, 1);
	layout_object_name(collection->connection.target.name,
	                   layout_object(&collection->layout, id), object);
	/* Where its row is damaged a mount cannot look it up, to be removed or opened. */
	failure_say(collection,
	            "vector %" PRIu64
	            ": its bytes in the object %s do not match its checksum; `quiverfs check "
	            "--repair` moves it aside, `quiverfs import` writes it again",
	            id, object);
	return -EIO;
}
