/*
 * next.c - what can be done from where one stands, for who has typed no command.
 */
#include "tools/cli/next.h"
#include "engine/quiver.h"
#include "tools/cli/mounts.h"
#include "tools/cli/say.h"
#include "tools/formats/formats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name that is longer is not shown. */
#define NAME_SHOWN_BYTES 256
/* Entries of a folder that are looked at: nobody waits for an answer to no question. */
#define ENTRIES_MAX 10000u
/* Mounts in the folder that are passed over. */
#define POINTS_MAX 32u
/* As it is typed: each byte may take four. */
#define WORD_BYTES (4 * PATH_MAX)

struct place {
	char here[PATH_MAX]; /* the folder that one is in */
	/* The store in it, or the folder itself, "."; "": none. */
	char store[NAME_SHOWN_BYTES];
	unsigned stores; /* how many there are */
	char file[NAME_SHOWN_BYTES]; /* of vectors, by its name; "": none */
	char points[POINTS_MAX][NAME_SHOWN_BYTES]; /* what is mounted in it, which may not answer */
	unsigned points_count;
	char within[PATH_MAX]; /* the mount that one is in; "": none */
	char within_store[PATH_MAX];
	char point[PATH_MAX]; /* where the store here is mounted; "": nowhere */
	char other[PATH_MAX]; /* another mount; "": none */
	char other_store[PATH_MAX];
	unsigned mounts; /* others of them */
};

/* As a shell takes it. */
static const char *word_of(const char *name, char word[WORD_BYTES])
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_./@:+,-";
	size_t used = 0;

	if (name[0] != '-' && name[strspn(name, plain)] == '\0') {
		(void)snprintf(word, WORD_BYTES, "%s", name);
		return word;
	}
	word[used++] = '\'';
	for (; *name != '\0' && used < WORD_BYTES - 6; name++)
		used += (size_t)snprintf(word + used, WORD_BYTES - used, "%s%c",
		                         *name == '\'' ? "'\\'" : "", *name);
	(void)snprintf(word + used, WORD_BYTES - used, "'");
	return word;
}

/* Whether a folder in `folder_fd` has the superblock of a store. */
static bool is_store(int folder_fd, const char *name)
{
	char path[NAME_MAX + sizeof("/superblock")];
	struct stat status;

	return snprintf(path, sizeof(path), "%s/superblock", name) < (int)sizeof(path) &&
	       fstatat(folder_fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(status.st_mode);
}

static bool is_point(const struct place *place, const char *name)
{
	for (unsigned i = 0; i < place->points_count; i++) {
		if (strcmp(name, place->points[i]) == 0)
			return true;
	}
	return false;
}

/* Whether a name is that of a file of vectors. Much is called .txt or .json. */
static bool is_vectors(const char *name)
{
	const struct format *format = format_to_read(name);

	return format != NULL && (!format->is_text || format == &format_jsonl);
}

/* Take an entry, if it is a store or a file of vectors; of several the first by name. */
static void look_at(int folder_fd, const struct dirent *entry, struct place *place)
{
	const char *name = entry->d_name;
	bool is;

	if (name[0] == '.' || strlen(name) >= NAME_SHOWN_BYTES || is_point(place, name))
		return;
	is = entry->d_type != DT_REG && is_store(folder_fd, name);
	place->stores += is;
	if (is && (place->store[0] == '\0' || strcmp(name, place->store) < 0))
		(void)snprintf(place->store, sizeof(place->store), "%s", name);
	if (!is && is_vectors(name) && (place->file[0] == '\0' || strcmp(name, place->file) < 0))
		(void)snprintf(place->file, sizeof(place->file), "%s", name);
}

/* Look through the folder that one is in. */
static void look_around(struct place *place)
{
	const struct dirent *entry;
	unsigned entries = 0;
	DIR *folder;

	if (is_store(AT_FDCWD, ".")) {
		(void)snprintf(place->store, sizeof(place->store), ".");
		place->stores = 1;
		return;
	}
	folder = opendir(".");
	if (folder == NULL)
		return;
	while (entries++ < ENTRIES_MAX && (entry = readdir(folder)) != NULL)
		look_at(dirfd(folder), entry, place);
	(void)closedir(folder); /* it was only read */
}

/* Whether `source` is the store that was found here. */
static bool is_of_store(const struct place *place, const char *source)
{
	char path[PATH_MAX + NAME_SHOWN_BYTES];

	if (place->store[0] == '\0')
		return false;
	if (strcmp(place->store, ".") == 0)
		return strcmp(source, place->here) == 0;
	(void)snprintf(path, sizeof(path), "%s/%s",
	               strcmp(place->here, "/") == 0 ? "" : place->here, place->store);
	return strcmp(source, path) == 0;
}

static bool is_ours(const struct mount_seen *mount)
{
	return strcmp(mount->type, MOUNT_TYPE) == 0 && (geteuid() == 0 || mount->uid == geteuid());
}

/* What is behind the folder `above` in `path`, without the slash; NULL where it is not within. */
static const char *below(const char *path, const char *above)
{
	size_t length = strcmp(above, "/") == 0 ? 0 : strlen(above);

	if (strncmp(path, above, length) != 0)
		return NULL;
	if (path[length] == '\0')
		return path + length;
	return path[length] == '/' ? path + length + 1 : NULL;
}

/* What one is in, and what is mounted in the folder: before anything in that is looked at. */
static void see_around(void *arg, const struct mount_seen *mount)
{
	struct place *place = arg;
	const char *name = below(mount->point, place->here);

	if (is_ours(mount) && below(place->here, mount->point) != NULL) {
		(void)snprintf(place->within, PATH_MAX, "%s", mount->point);
		(void)snprintf(place->within_store, PATH_MAX, "%s", mount->source);
	}
	if (name != NULL && strchr(name, '/') == NULL && strlen(name) < NAME_SHOWN_BYTES &&
	    place->points_count < POINTS_MAX)
		(void)snprintf(place->points[place->points_count++], NAME_SHOWN_BYTES, "%s", name);
}

static void see_mount(void *arg, const struct mount_seen *mount)
{
	struct place *place = arg;

	if (!is_ours(mount))
		return;
	if (is_of_store(place, mount->source)) {
		(void)snprintf(place->point, PATH_MAX, "%s", mount->point);
	} else {
		place->mounts++;
		(void)snprintf(place->other, PATH_MAX, "%s", mount->point);
		(void)snprintf(place->other_store, PATH_MAX, "%s", mount->source);
	}
}

/* One of the commands, with what it does. */
static void say_next(const char *command, const char *what)
{
	say_result("  %-45s  %s", command, what);
}

static void say_of_mount(const char *given, bool is_in)
{
	char command[WORD_BYTES + NAME_SHOWN_BYTES], point[WORD_BYTES];

	(void)snprintf(command, sizeof(command), "ls %s", word_of(given, point));
	say_next(command, "see what is in the mount: vectors/, nearest/, control/");
	(void)snprintf(command, sizeof(command), "quiverfs status %s", point);
	say_next(command, "see how it runs");
	(void)snprintf(command, sizeof(command), "%squiverfs umount %s", is_in ? "cd / && " : "",
	               point);
	say_next(command, "unmount it");
}

static void say_store(const struct place *place)
{
	char command[WORD_BYTES + WORD_BYTES], store[WORD_BYTES], file[WORD_BYTES];
	const char *point = strcmp(place->store, ".") == 0 ? "../MNT" : "MNT";

	(void)word_of(place->store, store);
	(void)snprintf(command, sizeof(command), "quiverfs status %s", store);
	say_next(command, "see what is in it");
	(void)snprintf(command, sizeof(command), "quiverfs import %s %s", store,
	               place->file[0] != '\0' ? word_of(place->file, file) : "FILE");
	say_next(command, "put the rows of a file into it");
	(void)snprintf(command, sizeof(command), "mkdir %s && quiverfs mount %s %s", point, store,
	               point);
	say_next(command, "see its vectors as files");
}

static void say_nothing_here(const struct place *place)
{
	char command[WORD_BYTES + NAME_SHOWN_BYTES], file[WORD_BYTES];

	(void)snprintf(command, sizeof(command), "quiverfs import NEW %s",
	               place->file[0] != '\0' ? word_of(place->file, file) : "FILE");
	say_next(command, "make a store that fits a file, with its rows");
	say_next("quiverfs create NEW --dim D", "make an empty store");
	say_next("man quiverfs", "read what it is");
}

/* Say what is here, and what is next. */
static void say_place(const struct place *place)
{
	if (place->within[0] != '\0') {
		say_result("This folder is in %s, where the store %s is mounted.", place->within,
		           place->within_store);
		say_of_mount(place->within, true);
	} else if (place->point[0] != '\0') {
		say_result("The store %s is mounted at %s.",
		           place->store[0] == '.' ? place->here : place->store, place->point);
		say_of_mount(place->point, false);
	} else if (place->store[0] == '.') {
		say_result("This folder is a store. It is not mounted.");
		say_store(place);
	} else if (place->stores > 0) {
		say_result("In this folder %s %s. It is not mounted.",
		           place->stores > 1 ? "are several stores. One is" : "is the store",
		           place->store);
		say_store(place);
	} else if (place->mounts > 0) {
		say_result("There is no store in this folder. %s is mounted at %s%s.",
		           place->other_store, place->other,
		           place->mounts > 1 ? ", and there are more mounts" : "");
		say_of_mount(place->other, false);
	} else {
		say_result("There is no store in this folder, and no store is mounted.");
		say_nothing_here(place);
	}
	(void)fflush(stdout); /* main looks at its errors */
	say_error("a command is missing", "'quiverfs --help' lists all of them");
}

void next_say(void)
{
	static struct place place;

	if (getcwd(place.here, sizeof(place.here)) == NULL)
		place.here[0] = '\0'; /* it was removed, say: so nothing is in it */
	else
		/* without /proc there are no mounts that could be told of */
		(void)mounts_see(0, see_around, &place);
	if (place.here[0] != '\0' && place.within[0] == '\0')
		look_around(&place);
	(void)mounts_see(0, see_mount, &place);
	say_place(&place);
}
