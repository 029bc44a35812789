/* What a collection tells of itself and of its cluster: lines of key and value. */
#include "engine/rados/facts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rados/blocking.h"

/* Room for the number of a cluster, a UUID in text. */
#define FSID_BYTES 64
/* Longer words of `ceph health` are cut. */
#define HEALTH_BYTES 1024

/* What `ceph health` says, on one line, or why the monitor does not say it. */
static int ask_health(const struct connection *connection, void *arg)
{
	char *to = arg;
	const char *command = "{\"prefix\": \"health\"}";
	char *words = NULL, *status = NULL;
	size_t length = 0, status_length = 0;
	int r = rados_mon_command(connection->cluster, &command, 1, "", 0, &words, &length, &status,
	                          &status_length);

	if (r == 0)
		snprintf(to, HEALTH_BYTES, "%.*s", (int)length, words ? words : "");
	else
		snprintf(to, HEALTH_BYTES, "unknown: the monitor says %s", quiver_strerror(r));
	rados_buffer_free(words);
	rados_buffer_free(status);
	length = strlen(to);
	while (length > 0 && to[length - 1] == '\n')
		to[--length] = '\0';
	for (char *at = to; *at != '\0'; at++) {
		if (*at == '\n')
			*at = ' ';
	}
	return 0;
}

/* Whether this client still has the collection, as far as it knows. */
static const char *state_name(const struct collection *collection)
{
	switch (atomic_load(&collection->watch.state)) {
	case WATCH_GONE:
		return "gone";
	case WATCH_FENCED:
		return "fenced";
	default:
		return "open";
	}
}

int facts_tell(struct quiver *store, unsigned flags, char **text)
{
	struct collection *collection = collection_of(store);
	const struct connection *connection = &collection->connection;
	const struct target *target = &connection->target;
	char fsid[FSID_BYTES] = "", health[HEALTH_BYTES] = "unknown: not asked";
	size_t length;
	FILE *out = open_memstream(text, &length);
	int failed;

	if (!out)
		return -ENOMEM;
	if (rados_cluster_fsid(connection->cluster, fsid, sizeof(fsid)) > 0)
		fprintf(out, "cluster %s\n", fsid);
	fprintf(out, "pool %s\n", target->pool);
	if (target->space[0] != '\0')
		fprintf(out, "namespace %s\n", target->space);
	fprintf(out, "collection %s\nuser %s\n", target->name, connection->user);
	fprintf(out, "state %s\n", state_name(collection));
	fprintf(out, "slots_per_object %" PRIu32 "\nstride_bytes %" PRIu32 "\nop_timeout_s %u\n",
	        collection->layout.slots, collection->layout.stride, connection->op_timeout_s);
	if ((flags & QUIVER_NOWAIT) == 0) {
		/* Else it stays unknown. */
		(void)blocking_call(&collection->connection, ask_health, health, sizeof(health));
		fprintf(out, "health %s\n", health);
	}
	failed = ferror(out);
	if (fclose(out) != 0 || failed) {
		free(*text);
		return -ENOMEM;
	}
	return 0;
}
