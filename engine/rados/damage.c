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
	failure_say(collection,
	            "vector %" PRIu64
	            ": what is in the object %s does not fit its checksum; write it "
	            "anew or remove it, or have it moved aside by `quiverfs check --repair`",
	            id, object);
	return -EIO;
}
