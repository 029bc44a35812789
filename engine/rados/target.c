#include "engine/rados/target.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/error.h"

#define PREFIX "rados:"
/* Where librados' lists of files are cut. */
#define CONF_ENDS ",;"
#define KEYRING_ENDS ",;= \t"
/* A word, and the longest name of a file. */
#define OPTION_BYTES_MAX (PATH_MAX + 16)

/* ---- rados:POOL[/NAMESPACE]/COLLECTION ---- */

/* A name of a pool or of a namespace: printable ASCII without space and "/". */
static bool take_name(const char *text, size_t length, char to[POOL_BYTES_MAX + 1])
{
	if (length < 1 || length > POOL_BYTES_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	}
	memcpy(to, text, length);
	to[length] = '\0';
	return true;
}

/* What stands between "/"s, at most three parts; how many there are, more than three as four. */
static unsigned split(const char *text, const char *parts[3], size_t lengths[3])
{
	unsigned count = 0;

	for (;;) {
		const char *slash = strchr(text, '/');

		if (count == 3)
			return 4;
		parts[count] = text;
		lengths[count++] = slash ? (size_t)(slash - text) : strlen(text);
		if (!slash)
			return count;
		text = slash + 1;
	}
}

static int refuse_form(const char *path, bool is_place, struct quiver_error *error)
{
	error_set(error, "%s: expected %s", path,
	          is_place ? "rados:POOL or rados:POOL/NAMESPACE"
	                   : "rados:POOL/COLLECTION or rados:POOL/NAMESPACE/COLLECTION");
	return -EINVAL;
}

int target_parse(const char *path, bool is_place, struct target *target, struct quiver_error *error)
{
	const char *parts[3];
	size_t lengths[3];
	unsigned count;

	*target = (struct target){ 0 };
	if (strncmp(path, PREFIX, sizeof(PREFIX) - 1) != 0)
		return refuse_form(path, is_place, error);
	count = split(path + sizeof(PREFIX) - 1, parts, lengths) + is_place;
	if (count < 2 || count > 3)
		return refuse_form(path, is_place, error);
	if (!take_name(parts[0], lengths[0], target->pool) ||
	    (count == 3 && !take_name(parts[1], lengths[1], target->space))) {
		error_set(error,
		          "%s: expected a pool and a namespace of 1 to %u characters without "
		          "spaces",
		          path, POOL_BYTES_MAX);
		return -EINVAL;
	}
	if (is_place)
		return 0;
	if (!layout_name_is_valid(parts[count - 1], lengths[count - 1])) {
		error_set(error,
		          "%s: the name of a collection has 1 to %u of the characters A-Z, a-z, "
		          "0-9, _ and -",
		          path, COLLECTION_NAME_BYTES_MAX);
		return -EINVAL;
	}
	memcpy(target->name, parts[count - 1], lengths[count - 1]);
	return 0;
}

/* ---- id=,conf=,keyring=,op_timeout= ---- */

static bool is_word(const char *text, size_t length, const char *word)
{
	return length == strlen(word) && memcmp(text, word, length) == 0;
}

/* 1 to OP_TIMEOUT_MAX_S; 0: it is none. */
static unsigned parse_seconds(const char *text, size_t length)
{
	unsigned value = 0;

	if (length < 1 || length > 4)
		return 0;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	return value <= OP_TIMEOUT_MAX_S ? value : 0;
}

static bool take_text(const char *text, size_t length, char *to, size_t room)
{
	if (length < 1 || length >= room)
		return false;
	memcpy(to, text, length);
	to[length] = '\0';
	return true;
}

/* A name that librados would take for several: it looks for each of what stands between such
 * characters. 0, or -EINVAL with a message. */
static int check_file(const char *word, const char *file, const char *ends,
                      struct quiver_error *error)
{
	const char *end = strpbrk(file, ends);

	if (!end)
		return 0;
	error_set(error,
	          "%s=%s: librados reads the '%c' in it as the end of a name; give the file "
	          "another name, for example with `ln -s`",
	          word, file, *end);
	return -EINVAL;
}

/* One "word=value". 0, or -EINVAL with a message. */
static int take_option(const char *text, size_t length, struct access *access,
                       struct quiver_error *error)
{
	const char *equals = memchr(text, '=', length);
	size_t word = equals ? (size_t)(equals - text) : length;
	const char *value = equals ? equals + 1 : text + length;
	size_t left = length - (size_t)(value - text);
	bool taken = false;

	if (is_word(text, word, "id")) {
		/* Ceph's own tools take "client.NAME" as --name alone; both are understood here. */
		if (left > 7 && memcmp(value, "client.", 7) == 0) {
			value += 7;
			left -= 7;
		}
		taken = take_name(value, left, access->id);
	} else if (is_word(text, word, "conf")) {
		taken = take_text(value, left, access->conf, sizeof(access->conf));
	} else if (is_word(text, word, "keyring")) {
		taken = take_text(value, left, access->keyring, sizeof(access->keyring));
	} else if (is_word(text, word, "op_timeout")) {
		access->op_timeout_s = parse_seconds(value, left);
		taken = access->op_timeout_s != 0;
	} else {
		error_set(error,
		          "%.*s: expected id=NAME, conf=FILE, keyring=FILE or op_timeout=SECONDS",
		          (int)length, text);
		return -EINVAL;
	}
	if (!taken)
		error_set(error, "%.*s: expected %s", (int)length, text,
		          is_word(text, word, "op_timeout") ? "seconds, 1 to 3600"
		          : is_word(text, word, "id")       ? "the name of a user of the cluster"
		                                            : "the name of a file");
	return taken ? 0 : -EINVAL;
}

/* The next option of the list at *at, into `to`: a backslash takes the next character as it is. How
 * long it is, or -EINVAL with a message. */
static int next_option(const char **at, char to[OPTION_BYTES_MAX], struct quiver_error *error)
{
	const char *text = *at;
	int length = 0;

	for (; *text != '\0' && *text != ','; text++) {
		if (*text == '\\' && text[1] != '\0')
			text++;
		if (length == OPTION_BYTES_MAX - 1) {
			error_set(error, "%.32s...: this is longer than %d bytes", to,
			          OPTION_BYTES_MAX - 1);
			return -EINVAL;
		}
		to[length++] = *text;
		to[length] = '\0';
	}
	*at = text + (*text == ',');
	return length;
}

int access_parse(const char *text, struct access *access, struct quiver_error *error)
{
	char option[OPTION_BYTES_MAX];
	int r = 0;

	*access = (struct access){ .op_timeout_s = OP_TIMEOUT_DEFAULT_S };
	while (r == 0 && text && text[0] != '\0') {
		r = next_option(&text, option, error);
		if (r > 0)
			r = take_option(option, (size_t)r, access, error);
	}
	if (r == 0)
		r = check_file("conf", access->conf, CONF_ENDS, error);
	return r == 0 ? check_file("keyring", access->keyring, KEYRING_ENDS, error) : r;
}

/* ---- CEPH_ARGS ---- */

struct argument { /* of the tools of Ceph, as librados' early ones */
	const char *name;
	size_t at; /* in struct access */
	size_t room;
};

#define ARGUMENT(name, member)                                                              \
	{                                                                                   \
		name, offsetof(struct access, member), sizeof(((struct access *)0)->member) \
	}

static const struct argument arguments_known[] = {
	ARGUMENT("--id", id), ARGUMENT("--user", id),   ARGUMENT("--name", id),
	ARGUMENT("-n", id),   ARGUMENT("--conf", conf), ARGUMENT("-c", conf),
};

static const struct argument *find_argument(const char *text, size_t length)
{
	for (size_t i = 0; i < sizeof(arguments_known) / sizeof(arguments_known[0]); i++) {
		if (is_word(text, length, arguments_known[i].name))
			return &arguments_known[i];
	}
	return NULL;
}

static void take_argument(const struct argument *argument, const char *value, size_t length,
                          struct access *access)
{
	char *to = (char *)access + argument->at;

	if (length > 7 && memcmp(value, "client.", 7) == 0 &&
	    argument->at == offsetof(struct access, id)) {
		value += 7;
		length -= 7;
	}
	if (to[0] == '\0')
		(void)take_text(value, length, to, argument->room); /* too long: left out */
}

void access_from_arguments(const char *arguments, struct access *access)
{
	static const char blank[] = " \t\n";
	const struct argument *waiting = NULL;

	while (arguments && *(arguments += strspn(arguments, blank)) != '\0') {
		size_t length = strcspn(arguments, blank);
		const char *equals = memchr(arguments, '=', length);
		size_t word = equals ? (size_t)(equals - arguments) : length;

		if (waiting) {
			take_argument(waiting, arguments, length, access);
			waiting = NULL;
		} else {
			waiting = find_argument(arguments, word);
			if (waiting && equals) {
				take_argument(waiting, equals + 1, length - word - 1, access);
				waiting = NULL;
			}
		}
		arguments += length;
	}
}
