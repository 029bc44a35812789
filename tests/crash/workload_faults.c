/* Commits that come in groups, and what a store has to do once a sync has failed. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/commit/group.h"
#include "engine/store/store.h"
#include "workload.h"

#define GROUP_MOST 6

static_assert(GROUP_MOST <= RUN_PHANTOMS_MAX,
              "each commit of a group may be the last that is kept");

/* One writer of a group. */
struct writer {
	struct quiver *store;
	enum { WRITER_PUT, WRITER_REMOVE, WRITER_ATTR, WRITER_RENAME } kind;
	unsigned i;
	unsigned to; /* RENAME */
	struct quiver_attr attr;
	unsigned mask;
	unsigned flags;
	uint8_t bytes[ORACLE_VECTOR_BYTES_MAX];
	int wanted;
	struct oracle_state state; /* what it leads to */
	pthread_t thread;
	int result;
	uint64_t lsn;
};

static void *write_one(void *arg)
{
	struct writer *writer = arg;
	uint64_t id = oracle_id(writer->i);

	switch (writer->kind) {
	case WRITER_PUT:
		writer->result = quiver_put(writer->store, id, writer->bytes, &writer->attr,
		                            writer->mask, writer->flags, &writer->lsn);
		break;
	case WRITER_REMOVE:
		writer->result = quiver_remove(writer->store, id, writer->flags, &writer->lsn);
		break;
	case WRITER_ATTR:
		writer->result = quiver_set_attr(writer->store, id, &writer->attr, writer->mask,
		                                 writer->flags);
		break;
	case WRITER_RENAME:
		writer->result = quiver_rename(writer->store, id, oracle_id(writer->to),
		                               writer->flags, &writer->lsn);
		break;
	}
	return NULL;
}

/* What the writer will do to the state before it. */
static void plan_writer(struct run *run, struct writer *writer, const struct oracle_state *before)
{
	struct oracle_state *state = &writer->state;
	bool present = before->entries[writer->i].present;

	*state = *before;
	writer->wanted = present || writer->kind == WRITER_PUT ? 0 : -ENOENT;
	if (writer->kind == WRITER_PUT) {
		oracle_put(&run->oracle, state, writer->i, &writer->attr, writer->mask,
		           writer->bytes);
	} else if (present && writer->kind == WRITER_ATTR) {
		oracle_attr(state, writer->i, &writer->attr, writer->mask);
	} else if (present && writer->kind == WRITER_RENAME) {
		oracle_rename(state, writer->i, writer->to);
	} else if (writer->kind == WRITER_REMOVE) {
		oracle_remove(state, writer->i);
	}
}

/* No two name the same ID: such would go in different groups. */
static size_t plan_group(struct run *run, struct writer *writers)
{
	const struct oracle_state *before = oracle_now(&run->oracle);
	size_t wanted = 2 + chance_below(&run->chance, GROUP_MOST - 1);
	bool used[ORACLE_IDS] = { false };
	size_t count = 0;

	for (size_t tries = 0; count < wanted && tries < 4 * GROUP_MOST; tries++) {
		struct writer *writer = &writers[count];
		unsigned kind = (unsigned)chance_below(&run->chance, 8);

		*writer = (struct writer){ .store = run->store,
			                   .i = any_id(run),
			                   .to = any_id(run),
			                   .attr = any_attr(run),
			                   .mask = any_mask(run) };
		writer->kind = kind < 4 ? WRITER_PUT : kind - 4;
		if (writer->kind == WRITER_RENAME && !before->entries[writer->i].present)
			continue;
		if (writer->kind != WRITER_RENAME)
			writer->to = writer->i;
		else if (writer->to == writer->i)
			continue;
		if (used[writer->i] || used[writer->to])
			continue;
		used[writer->i] = used[writer->to] = true;
		/* In mode none it is a checkpoint, for each by itself. */
		if (run->mode != QUIVER_NONE && chance_percent(&run->chance, 10))
			writer->flags = QUIVER_SYNC;
		plan_writer(run, writer, count ? &writers[count - 1].state : before);
		count++;
	}
	return count;
}

static size_t queued(struct quiver *store)
{
	size_t n = 0;

	pthread_mutex_lock(&store->commits.queue.lock);
	for (const struct commit_request *r = store->commits.queue.first; r; r = r->next)
		n++;
	pthread_mutex_unlock(&store->commits.queue.lock);
	return n;
}

/* All of them come while nobody may commit, one after the other, and are let go together; so
 * the order is that of the list, whoever of them then leads. */
static void run_group(struct run *run, struct writer *writers, size_t count)
{
	commit_pause(&run->store->commits);
	for (size_t n = 0; n < count; n++) {
		if (pthread_create(&writers[n].thread, NULL, write_one, &writers[n]) != 0)
			abort();
		while (queued(run->store) <= n)
			(void)sched_yield();
	}
	commit_resume(&run->store->commits);
	for (size_t n = 0; n < count; n++)
		if (pthread_join(writers[n].thread, NULL) != 0)
			abort();
}

/* They have succeeded. */
static void group_committed(struct run *run, struct writer *writers, size_t count, bool sync)
{
	for (size_t n = 0; n < count; n++)
		if (writers[n].wanted == 0)
			committed(run, &writers[n].state, writers[n].lsn, 0);
	if (sync)
		durable(run);
}

static bool all_as_wanted(const struct writer *writers, size_t count)
{
	bool all = true;

	for (size_t n = 0; n < count; n++)
		all = all && writers[n].result == writers[n].wanted;
	return all;
}

void step_group(struct run *run)
{
	struct writer *writers = calloc(GROUP_MOST, sizeof(*writers));
	bool sync = false;
	bool any = false;
	size_t count;

	if (!writers)
		abort();
	count = plan_group(run, writers);
	run_say(run, "group of %zu", count);
	for (size_t n = 0; n < count; n++)
		run_say(run, "  %s %" PRIu64 "%s",
		        (const char *[]){ "put", "remove", "attributes of",
		                          "rename" }[writers[n].kind],
		        oracle_id(writers[n].i), writers[n].flags ? " sync" : "");
	run_group(run, writers, count);
	for (size_t n = 0; n < count; n++) {
		expect(run, "one of a group", writers[n].result, writers[n].wanted);
		sync = sync || (writers[n].flags && writers[n].wanted == 0);
		any = any || writers[n].wanted == 0;
	}
	if (!sim_failed_sync(run->disk) || (faults_of_index(run) && all_as_wanted(writers, count)))
		group_committed(run, writers, count, sync);
	for (size_t n = 0; n < count; n++)
		maybe_phantom(run, &writers[n].state);
	free(writers);
}

/* Nothing that changes the store is accepted any more. */
static void must_refuse(struct run *run, const char *what, int r)
{
	if (r != -EROFS)
		run_fail(run, "%s after a failed sync: %s, expected %s", what, strerror(-r),
		         strerror(EROFS));
}

/* Of what only snapshots are in: who asked for one is told, and the store may go on. What they no
 * longer have is let go of by whoever comes by, after his own work is done. */
static bool of_snapshots(const char *name)
{
	bool of_them = name[0] == '.' || strcmp(name, "snapshots") == 0 ||
	               strncmp(name, "versions", strlen("versions")) == 0;

	for (size_t n = 0; n < SNAPSHOTS_MAX; n++)
		of_them = of_them || strcmp(name, snapshots_name(n)) == 0;
	return of_them;
}

/* Of the index that checkpoints keep, with its folder, or of the notes for it: the checkpoint, the
 * opening or the close goes on without. */
bool faults_of_index(const struct run *run)
{
	const char *name = sim_failed_sync(run->disk);

	return strcmp(name, ".") == 0 || strncmp(name, "index", strlen("index")) == 0 ||
	       strncmp(name, "regions", strlen("regions")) == 0;
}

/* The sync of a segment of the log that nothing is in yet may fail: it is thrown away. */
bool faults_harmless(const struct run *run)
{
	const char *name = sim_failed_sync(run->disk);
	char path[RUN_PATH_BYTES + 80];

	if (of_snapshots(name) || faults_of_index(run))
		return true;
	(void)snprintf(path, sizeof(path), "%s/wal/%s", run->root, name);
	return strcmp(name, "wal") == 0 || (strstr(name, ".wal") && access(path, F_OK) != 0);
}

void faults_look(struct run *run)
{
	struct oracle_state state = *oracle_now(&run->oracle);
	struct quiver_attr attr = any_attr(run);
	uint8_t bytes[ORACLE_VECTOR_BYTES_MAX];
	struct quiver_record record = { .id = oracle_id(1), .data = bytes };
	bool fatal = !faults_harmless(run);
	uint64_t lsn = 0;
	int r;

	run_say(run, "a sync of %s has failed", sim_failed_sync(run->disk));
	sim_fail_no_sync(run->disk);
	run->syncs_failed++;
	oracle_put(&run->oracle, &state, 1, &attr, QUIVER_ATTR_ALL, bytes);
	r = quiver_put(run->store, record.id, bytes, &attr, QUIVER_ATTR_ALL, 0, &lsn);
	if (r == 0 && !fatal) {
		run->phantom_count = 0; /* it was not logged */
		committed(run, &state, lsn, 0);
		return;
	}
	run->failed = true;
	must_refuse(run, "put", r);
	must_refuse(run, "batch",
	            quiver_put_batch(run->store, &record, 1, &attr, QUIVER_ATTR_ALL, 0, &lsn));
	must_refuse(run, "remove", quiver_remove(run->store, record.id, 0, &lsn));
	must_refuse(run, "rename", quiver_rename(run->store, record.id, 77, 0, &lsn));
	must_refuse(run, "set_attr",
	            quiver_set_attr(run->store, record.id, &attr, QUIVER_ATTR_ALL, 0));
	must_refuse(run, "flush", quiver_flush(run->store));
	must_refuse(run, "checkpoint", quiver_checkpoint(run->store));
	must_refuse(run, "snapshot", quiver_snapshot_create(run->store, "late", NULL));
	workload_compare(run, "after a failed sync");
}
