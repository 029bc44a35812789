/*
 * folder_import.c - quiverfs import of a folder: its files are vectors, and their names the IDs.
 */
#include "tools/cli/folder_import.h"
#include "tools/cli/command.h"
#include "tools/cli/folder_bring.h"
#include "tools/cli/folder_place.h"
#include "tools/cli/live.h"
#include "tools/cli/room.h"
#include "tools/cli/say.h"
#include "tools/cli/vectors.h"
#include "tools/cli/vectors_attr.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is told at the end. */
struct outcome {
	uint64_t files;
	uint64_t distinct; /* of them that are vectors */
	uint64_t least, most; /* IDs of those, where there are any */
	uint64_t removed; /* vectors */
	bool stopped; /* by a signal */
};

/* Whether a vector is to stay that has no file. */
static bool is_protected(const struct folder_options *options, uint64_t id)
{
	char name[FOLDER_NAME_BYTES];

	for (unsigned npy = 0; npy < 2; npy++) {
		folder_entry_name(&(struct folder_entry){ .id = id, .is_npy = npy & 1 }, name);
		if (folder_is_excluded(options, name))
			return true;
	}
	return false;
}

/* Remove one, or only count it. */
static int remove_one(struct bring *bring, uint64_t id, struct outcome *outcome)
{
	int result = 0;

	if (is_protected(bring->wanted->options, id))
		return 0;
	if (!bring->wanted->options->dry_run)
		result = vectors_remove(bring->session, bring->vectors_fd, id);
	if (result == -ENOENT)
		return 0;
	if (result < 0)
		say_error(bring->session->target.path, "vector %" PRIu64 " cannot be removed: %s",
		          id, live_strerror(result));
	else
		outcome->removed++;
	return result;
}

/* Remove the vectors that have no file. Says errors. */
static int remove_others(struct bring *bring, struct outcome *outcome)
{
	const struct folder_list *files = &bring->list;
	struct vectors_list vectors;
	size_t at = 0;
	int result = vectors_list(bring->session, &vectors);

	if (result < 0)
		return result;
	if (files->count == 0 && vectors.count > 0) {
		say_error(bring->wanted->path,
		          "it holds no file of a vector, so --delete would remove all %zu vectors; "
		          "nothing was removed (is this the right folder?)",
		          vectors.count);
		result = -ENOTEMPTY;
	}
	folder_list_sort(&bring->list);
	for (size_t i = 0; i < vectors.count && result == 0; i++) {
		while (at < files->count && files->entries[at].id < vectors.ids[i])
			at++;
		if (at < files->count && files->entries[at].id == vectors.ids[i])
			continue;
		result = remove_one(bring, vectors.ids[i], outcome);
		if (result == 0 && interrupted()) {
			outcome->stopped = true;
			break;
		}
	}
	vectors_list_free(&vectors);
	return result;
}

/* The folder of vectors gets what the folder has. Says errors. */
static int set_folder_attr(struct bring *bring, const struct quiver_attr *attr)
{
	unsigned mask = file_attr_kept(&bring->rights, attr);
	struct quiver_attr there;
	int result = vectors_folder_attr(bring->session, bring->vectors_fd, &there);

	if (result == 0 && !file_attr_same(&there, attr, mask))
		result = vectors_set_folder_attr(bring->session, bring->vectors_fd, attr, mask);
	if (result < 0)
		say_error(bring->session->target.path,
		          "the time and mode of vectors/ cannot be set: %s", live_strerror(result));
	return result;
}

/* Bring the files, then do to the store what needs all of them. Says errors. */
static int import_listed(struct bring *bring, const struct quiver_attr *attr,
                         struct outcome *outcome)
{
	const struct folder_options *options = bring->wanted->options;
	int result = 0, durable;

	if (!options->dry_run && !options->update)
		result = room_for_vectors(bring->session, bring->list.count);
	if (result == 0)
		result = bring_files(bring);
	outcome->stopped = result == 0 && interrupted();
	if (result == 0 && !outcome->stopped && options->remove) {
		if (bring->trouble.count > 0)
			say_note(bring->wanted->path,
			         "not all files could be imported, so no vector is removed");
		else
			result = remove_others(bring, outcome);
	}
	if (result == 0 && !outcome->stopped && bring->trouble.count == 0 && !options->dry_run)
		result = set_folder_attr(bring, attr);
	if (!bring->session->target.live || options->dry_run)
		return result;
	durable = session_flush(bring->session);
	if (durable == -EROFS && result < 0) /* nothing was written, as was said */
		return result;
	if (durable < 0)
		say_error(bring->session->target.path,
		          "the vectors are written, but control/flush failed; a power cut may lose "
		          "them: %s",
		          live_strerror(durable));
	return result ? result : durable;
}

/* The range of the IDs, without files that came to nothing. */
static void measure(const struct folder_list *list, struct outcome *outcome)
{
	outcome->least = UINT64_MAX;
	for (size_t i = 0; i < list->count; i++) {
		uint64_t id = list->entries[i].id;

		if (list->entries[i].is_missed)
			continue;
		outcome->distinct++;
		if (id < outcome->least)
			outcome->least = id;
		if (id > outcome->most)
			outcome->most = id;
	}
}

/* Import into an open session. Says errors. */
static int import_folder(struct bring *bring, struct outcome *outcome)
{
	struct quiver_attr attr;
	struct stat status;
	int result = file_rights_get(&bring->rights);

	if (result < 0) {
		say_errno(bring->wanted->path, result);
		return result;
	}
	result = folder_place_open(bring->wanted->path, bring->session, &bring->folder_fd);
	if (result == 0)
		result = element_parse(quiver_dtype_name(bring->session->geometry.dtype),
		                       &bring->type);
	if (result == 0 && fstat(bring->folder_fd, &status) < 0) {
		result = -errno;
		say_errno(bring->wanted->path, result);
	}
	if (result == 0) {
		file_attr_of(&status, &attr);
		result = folder_list_read(bring->folder_fd, bring->wanted->options, &bring->trouble,
		                          &bring->list);
	}
	if (result == 0)
		result = vectors_open_folder(bring->session, &bring->vectors_fd);
	if (result < 0)
		return result;
	outcome->files = bring->list.count;
	result = import_listed(bring, &attr, outcome);
	measure(&bring->list, outcome);
	return result;
}

/* Say what the counts alone do not. */
static void say_notes(const struct bring *bring)
{
	const char *path = bring->wanted->path;
	const struct bring_counts *counts = &bring->counts;

	if (counts->same > 0)
		say_note(path, "%" PRIu64 " files were not read: their vectors are up to date",
		         counts->same);
	if (counts->skipped > 0)
		say_note(path, "%" PRIu64 " files skipped: their vectors exist", counts->skipped);
	if (counts->gone > 0)
		say_note(path, "%" PRIu64 " files were removed during the import", counts->gone);
	if (bring->list.hidden > 0)
		say_note(path, "%" PRIu64 " names that begin with a dot were skipped",
		         bring->list.hidden);
	if (bring->list.excluded > 0)
		say_note(path, "%" PRIu64 " names were excluded", bring->list.excluded);
}

/* Say what was done. The exit status. */
static int say_outcome(const struct bring *bring, const struct outcome *outcome, int result,
                       uint64_t trouble)
{
	const char *path = bring->wanted->path, *target = bring->session->target.path;
	const char *would = bring->wanted->options->dry_run ? " would be" : "";
	const struct bring_counts *counts = &bring->counts;
	uint64_t in = counts->imported + counts->same + counts->skipped;

	if (result == -EINTR)
		say_error(path, "stopped; no file was imported");
	if (result < 0 && in == 0)
		return STATUS_FAILED;
	if (result < 0 || outcome->stopped) {
		say_error(
			path,
			"%s%" PRIu64 " of %" PRIu64
			" files are imported%s; the same import with --update continues from there",
			outcome->stopped ? "stopped: " : "", in, outcome->files,
			outcome->removed > 0 ? ", some vectors were removed" : "");
		return STATUS_FAILED;
	}
	say_notes(bring);
	say_result("%" PRIu64 " vectors%s imported into %s", counts->imported, would, target);
	if (outcome->distinct > 0)
		say_result("IDs: %" PRIu64 " to %" PRIu64 ", the names of the files; %" PRIu64
		           " distinct",
		           outcome->least, outcome->most, outcome->distinct);
	if (bring->wanted->options->remove)
		say_result("%" PRIu64 " vectors without a file%s removed", outcome->removed, would);
	if (trouble == 0)
		return STATUS_OK;
	say_error(path, "%" PRIu64 " names in it were not imported; the reasons are above",
	          trouble);
	return STATUS_FAILED;
}

int folder_import_run(const struct folder_import *wanted)
{
	bool dry_run = wanted->options->dry_run;
	struct bring bring = { .wanted = wanted, .folder_fd = -1, .vectors_fd = -1 };
	struct outcome outcome = { 0 };
	struct session session;
	uint64_t trouble;
	int result, closed, status;

	if (session_begin(wanted->target, wanted->reach, dry_run ? SESSION_READ_ONLY : 0,
	                  &session) < 0)
		return STATUS_FAILED;
	bring.session = &session;
	folder_trouble_start(&bring.trouble, wanted->path);
	result = import_folder(&bring, &outcome);
	trouble = folder_trouble_end(&bring.trouble);
	if (bring.vectors_fd >= 0)
		(void)close(bring.vectors_fd); /* what was done through it has told its errors */
	if (bring.folder_fd >= 0)
		(void)close(bring.folder_fd); /* it was only read */
	closed = session_close(&session);
	status = say_outcome(&bring, &outcome, result ? result : closed, trouble);
	folder_list_free(&bring.list);
	file_rights_free(&bring.rights);
	return status;
}
