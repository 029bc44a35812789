/*
 * folder_export.c - quiverfs export to a folder: a file for each vector, its ID being the name.
 */
#include "tools/cli/folder_export.h"
#include "tools/cli/apart.h"
#include "tools/cli/command.h"
#include "tools/cli/ids.h"
#include "tools/cli/live.h"
#include "tools/cli/say.h"
#include "tools/cli/vectors_attr.h"
#include "tools/formats/interrupt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is told at the end. */
struct outcome {
	bool made; /* the folder */
	uint64_t removed; /* files */
	bool stopped; /* by a signal */
};

/* A folder that is to be made may not lie in a store or a mount: there mkdir tells no reason, or
 * succeeds. Says errors. */
static int check_new(const char *path)
{
	char copy[PATH_MAX];
	struct stat status;
	int fd, result;

	if (strlen(path) >= sizeof(copy) || stat(path, &status) == 0 || errno != ENOENT)
		return 0; /* what is there is looked at itself */
	(void)snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* mkdir says why */
	result = apart_check_folder(path, fd);
	(void)close(fd); /* it was only looked at */
	return result;
}

/* Open the folder; one that is not there is made. Says errors. */
static int open_folder(struct carry *carry, struct outcome *outcome)
{
	const char *path = carry->wanted->path;
	bool dry_run = carry->wanted->options->dry_run;
	int result = check_new(path);

	if (result < 0)
		return result;
	if (!dry_run && mkdir(path, 0777) == 0)
		outcome->made = true;
	else if (!dry_run && errno != EEXIST)
		goto fail;
	carry->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (carry->folder_fd < 0 && dry_run && errno == ENOENT)
		return 0;
	if (carry->folder_fd < 0)
		goto fail;
	return apart_check_folder(path, carry->folder_fd);
fail:
	result = -errno;
	say_errno(path, result);
	return result;
}

static int compare_ids(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

/* Whether a file is to be removed: its name is the ID of no vector. */
static bool is_left_over(const struct carry *carry, const struct dirent *entry)
{
	struct stat status;
	uint64_t id;

	return id_parse(entry->d_name, &id) &&
	       (carry->list.count == 0 || bsearch(&id, carry->list.ids, carry->list.count,
	                                          sizeof(id), compare_ids) == NULL) &&
	       fstatat(carry->folder_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(status.st_mode);
}

/* Remove one file, or only count it. Says errors. */
static int remove_one(const struct carry *carry, const char *name, struct outcome *outcome)
{
	int result;

	if (carry->list.count == 0) {
		say_error(carry->wanted->path,
		          "the store holds no vectors, so --delete would remove every file whose "
		          "name is an ID; nothing was removed (is this the right store?)");
		return -ENOTEMPTY;
	}
	if (carry->wanted->options->dry_run || unlinkat(carry->folder_fd, name, 0) == 0 ||
	    errno == ENOENT) {
		outcome->removed++;
		return 0;
	}
	result = -errno;
	say_error(carry->wanted->path, "%s cannot be removed: %s", name, strerror(-result));
	return result;
}

/* Remove the files of vectors that are not there. Says errors. */
static int remove_others(const struct carry *carry, struct outcome *outcome)
{
	int fd = openat(carry->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	int result = 0;

	if (folder == NULL) {
		result = -errno;
		say_errno(carry->wanted->path, result);
		return result;
	}
	do {
		errno = 0;
		entry = readdir(folder);
		if (entry == NULL && errno != 0) {
			result = -errno;
			say_errno(carry->wanted->path, result);
		}
		if (entry != NULL && is_left_over(carry, entry))
			result = remove_one(carry, entry->d_name, outcome);
		outcome->stopped = interrupted();
	} while (result == 0 && entry != NULL && !outcome->stopped);
	(void)closedir(folder); /* it was only read */
	return result;
}

/* A folder that was made is as vectors/ is; of others the time alone is set, by who may. Says
 * errors. */
static int set_folder_attr(struct carry *carry, const struct outcome *outcome)
{
	struct quiver_attr attr;
	unsigned mask;
	int result = vectors_folder_attr(carry->session, carry->vectors_fd, &attr);

	if (result < 0) {
		say_error(carry->session->target.path, "vectors/ cannot be looked at: %s",
		          live_strerror(result));
		return result;
	}
	mask = outcome->made ? file_attr_kept(&carry->rights, &attr) : QUIVER_ATTR_MTIME;
	result = file_attr_set(carry->folder_fd, &attr, mask);
	if (result == -EPERM && !outcome->made)
		return 0;
	if (result < 0)
		say_error(carry->wanted->path, "its time and mode cannot be set: %s",
		          strerror(-result));
	return result;
}

/* Write the files, then do to the folder what needs all of them. Says errors. */
static int export_listed(struct carry *carry, struct outcome *outcome)
{
	const struct folder_options *options = carry->wanted->options;
	int result = carry_vectors(carry);

	outcome->stopped = result == 0 && interrupted();
	if (result == 0 && !outcome->stopped && options->remove && carry->folder_fd >= 0) {
		if (carry->trouble.count > 0)
			say_note(carry->wanted->path,
			         "not all vectors could be written, so no file is removed");
		else
			result = remove_others(carry, outcome);
	}
	if (options->dry_run)
		return result;
	if (result == 0 && !outcome->stopped)
		result = set_folder_attr(carry, outcome);
	if (syncfs(carry->folder_fd) < 0 && result == 0) {
		result = -errno;
		say_error(carry->wanted->path, "bringing it to the disk failed: %s",
		          strerror(-result));
	}
	return result;
}

/* Export an open session. Says errors. */
static int export_folder(struct carry *carry, struct outcome *outcome)
{
	int result = file_rights_get(&carry->rights);

	if (result < 0) {
		say_errno(carry->wanted->path, result);
		return result;
	}
	result = vectors_list(carry->session, &carry->list);
	if (result == 0)
		result = vectors_open_folder(carry->session, &carry->vectors_fd);
	if (result == 0)
		result = open_folder(carry, outcome);
	return result == 0 ? export_listed(carry, outcome) : result;
}

/* Say what was done. The exit status. */
static int say_outcome(const struct carry *carry, const struct outcome *outcome, int result,
                       uint64_t trouble)
{
	const char *path = carry->wanted->path;
	const char *would = carry->wanted->options->dry_run ? " would be" : "";
	const struct carry_counts *counts = &carry->counts;
	uint64_t out = counts->exported + counts->same;

	if (result < 0 && out == 0)
		return STATUS_FAILED;
	if (result < 0 || outcome->stopped) {
		say_error(path,
		          "%s%" PRIu64 " of %zu vectors are written; the same export with --update "
		          "continues from there",
		          outcome->stopped ? "stopped: " : "", out, carry->list.count);
		return STATUS_FAILED;
	}
	if (counts->same > 0)
		say_note(path, "%" PRIu64 " files were not written: they are up to date",
		         counts->same);
	if (counts->gone > 0)
		say_note(path,
		         "%" PRIu64 " vectors were removed during the export and are not in it",
		         counts->gone);
	say_result("%" PRIu64 " vectors%s exported to %s", counts->exported, would, path);
	if (carry->wanted->options->remove)
		say_result("%" PRIu64 " files without a vector%s removed", outcome->removed, would);
	if (trouble == 0)
		return STATUS_OK;
	say_error(path, "%" PRIu64 " vectors were not written; the reasons are above", trouble);
	return STATUS_FAILED;
}

int folder_export_run(const struct folder_export *wanted)
{
	struct carry carry = { .wanted = wanted, .folder_fd = -1, .vectors_fd = -1 };
	struct outcome outcome = { 0 };
	struct session session;
	uint64_t trouble;
	int result, closed, status;

	if (session_begin(wanted->target, wanted->reach, SESSION_READ_ONLY, &session) < 0)
		return STATUS_FAILED;
	carry.session = &session;
	folder_trouble_start(&carry.trouble, wanted->path);
	result = export_folder(&carry, &outcome);
	trouble = folder_trouble_end(&carry.trouble);
	if (carry.vectors_fd >= 0)
		(void)close(carry.vectors_fd); /* it was only read */
	if (carry.folder_fd >= 0)
		(void)close(carry.folder_fd); /* syncfs has told its errors */
	closed = session_close(&session);
	status = say_outcome(&carry, &outcome, result ? result : closed, trouble);
	vectors_list_free(&carry.list);
	file_rights_free(&carry.rights);
	return status;
}
